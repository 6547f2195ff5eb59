"""``hwlearn watch`` in a browser: it follows runs, loads nothing from elsewhere, and opens only with the token."""

import builtins
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from stored_runs import recorded

import hwlearn as hl

CHROMIUM = {"chromium": shutil.which("chromium"), "chromedriver": shutil.which("chromedriver")}


@contextlib.contextmanager
def watching(*words):
    """Run ``hwlearn watch`` in this block, and end it by Ctrl-C; give the line that it prints."""
    command = [sys.executable, "-m", "hwlearn", "watch", *map(str, words), "--no-browser", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield json.loads(line)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()


@contextlib.contextmanager
def training(bench, runs, *words):
    command = [sys.executable, "-m", "hwlearn", "train", str(bench), "--runs", str(runs), *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


class Page:
    """The page in Chromium, and what the browser logged about it."""

    def __init__(self, driver):
        self._driver, self._requests = driver, []

    def open(self, url):
        self._driver.get(url)

    @property
    def url(self):
        return self._driver.current_url

    def cookies(self):
        return self._driver.get_cookies()

    def text(self, selector):
        return self._driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText ?? ''", selector
        )

    def click(self, selector):
        self._driver.execute_script("document.querySelector(arguments[0]).click()", selector)

    def type(self, selector, text):
        from selenium.webdriver.common.keys import Keys

        (field,) = self._driver.find_elements("css selector", selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def chart(self, part):
        """Return the options of a chart as ECharts draws them."""
        get = "const e = document.querySelector(`[data-part=${arguments[0]}]`); "
        return self._driver.execute_script(get + "return getElement(+e.id.slice(1)).chart.getOption()", part)

    def titles(self, part):
        get = "const found = document.querySelectorAll(`[data-part=${arguments[0]}] svg title`); "
        return self._driver.execute_script(get + "return [...found].map(title => title.textContent)", part)

    def width(self):
        return self._driver.execute_script("return document.documentElement.scrollWidth")

    def resize(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def wait(self, condition, seconds=30.0):
        """Wait until a condition of the page holds."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, self.text("body")
            time.sleep(0.1)
        return found

    def foreign_requests(self, own):
        """Return the addresses outside the page's own host that were requested."""
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                self._requests.append(message["params"]["url"])
        host = urlsplit(own).netloc
        assert any(url.startswith(f"ws://{host}/") for url in self._requests)
        return [
            url
            for url in self._requests
            if urlsplit(url).netloc != host and not url.startswith(("data:", "blob:"))
        ]

    def console_errors(self):
        return [entry for entry in self._driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="module")
def driver():
    missing = [name for name, path in CHROMIUM.items() if path is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    pytest.importorskip("nicegui")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM["chromium"]
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(CHROMIUM["chromedriver"])
    with webdriver.Chrome(options=options, service=service) as found:
        yield found


@pytest.fixture
def page(driver):
    yield Page(driver)
    driver.get("about:blank")
    driver.get_log("performance"), driver.get_log("browser")


@pytest.mark.slow
def test_page_follows_a_run_from_before_its_beginning_until_it_is_killed(page, folder):
    with watching("small.toml", "--runs", folder / "runs") as printed:
        assert urlsplit(printed["url"]).hostname == "127.0.0.1"
        assert printed["run"] is None
        page.open(printed["url"])
        page.wait(lambda: "Waiting for a run" in page.text("[data-part=waiting]"))
        with training("small.toml", folder / "runs", "--set", "train.epochs=100000") as process:
            page.wait(lambda: "running" in page.text("[data-tile=state]"))

            def points():
                series = {one["name"]: one["data"] for one in page.chart("curve")["series"]}
                return len(series["cost of a batch"]), len(series.get("training, measured", []))

            before = page.wait(lambda: (count := points())[1] > 0 and count)
            page.wait(lambda: points()[0] > before[0] + 5 and points()[1] > before[1] + 2)  # the curve moves
            assert "true" in page.text("[data-tile=score]")
            assert " s" in page.text("[data-tile=time]")
            for row in ("4", "1"):
                page.type("[data-part=row] input, input[data-part=row]", row)
                page.wait(lambda row=row: f"Sample {row} of" in page.text("[data-part=sample-facts]"))
                titles = page.wait(lambda: page.titles("sample"))
                edges = [title for title in titles if title.startswith("edge ")]
                assert len(edges) == 30
                assert all("drop" in title and "V" in title and "S" in title for title in edges)
            process.send_signal(signal.SIGKILL)
            process.wait()
            page.wait(lambda: "killed" in page.text("[data-tile=state]"))
        for width in (390, 1400):
            page.resize(width, 900)
            page.wait(lambda width=width: page.width() <= width)
        page.click("[data-part=theme]")
        page.wait(lambda: page.text("[data-part=theme]") == "Light")
        assert page.console_errors() == []
        assert page.foreign_requests(printed["url"]) == []


@pytest.mark.slow
def test_outputs_of_instruments_are_on_while_the_run_runs_and_may_be_on_after_a_kill(page, folder):
    with watching("virtual-smu", "--runs", folder / "runs") as printed:
        page.open(printed["url"])
        with training("virtual-smu", folder / "runs", "--set", "train.epochs=100000") as process:
            page.wait(lambda: page.text("[data-outputs=on]").startswith("OUTPUTS ON"), 60)
            process.send_signal(signal.SIGKILL)
            process.wait()
        page.wait(lambda: page.text("[role=alert]").startswith("OUTPUTS MAY BE ON"))
        with training("virtual-smu", folder / "runs", "--set", "train.epochs=1") as process:
            process.wait(60)
        page.wait(lambda: page.text("[data-outputs=off]") == "outputs off")
        assert page.text("[role=alert]") == ""


@contextlib.contextmanager
def read_only(place):
    """Mount a folder read-only on itself: a superuser may write where permissions forbid it."""
    if subprocess.run(["mount", "--bind", place, place], capture_output=True, check=False).returncode:
        pytest.skip("a folder cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["finished", "killed, with a WAL"])
def test_run_on_a_read_only_folder_is_shown(page, folder, killed):
    (folder / "runs").mkdir()
    if killed:
        with training("small.toml", folder / "runs", "--set", "train.epochs=100000") as process:
            wal = folder / "runs"
            page.wait(lambda: [path for path in wal.glob("*/run.sqlite-wal") if path.stat().st_size > 200_000], 60)
            process.send_signal(signal.SIGKILL)
            process.wait()
    else:
        recorded(hl.open_bench("small.toml"), folder / "runs")
    (run,) = (folder / "runs").iterdir()
    with read_only(run):
        before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
        with watching(run) as printed:
            page.open(printed["url"])
            page.wait(lambda: page.text("[data-tile=state]").split()[1:2] == ["killed" if killed else "finished"])
            page.click("[data-part=next]")
            page.wait(
                lambda: len(page.titles("sample")) == 44 and "Sample" in page.text("[data-part=sample-facts]")
            )
            assert page.text("[data-part=error]") == ""
            assert page.console_errors() == []
        assert {path.name: path.stat().st_mtime_ns for path in run.iterdir()} == before


def status(url, path, token=None, cookie=None, **headers):
    """Return the status of the answer to a request."""
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)) as connection:
        query = "" if token is None else f"{'&' if '?' in path else '?'}token={token}"
        more = {} if cookie is None else {"Cookie": f"hwlearn_watch_{parts.port}={cookie}"}
        connection.request("GET", path + query, headers=more | headers)
        return connection.getresponse().status


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.slow
def test_page_for_other_computers_opens_only_with_the_token(page, folder):
    pytest.importorskip("nicegui")
    import nicegui

    run = recorded(hl.open_bench("small.toml"), folder / "runs")
    static = f"/_nicegui/{nicegui.__version__}/static/nicegui.js"
    polling = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    socket_io = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with watching(run.folder, "--host", "0.0.0.0") as printed:
        url = printed["url"]
        token = parse_qs(urlsplit(url).query)["token"][0]
        assert len(token) >= 43  # 256 bits
        for wrong in ({}, {"cookie": "wrong"}, {"token": "wrong"}, {"cookie": token[:-1]}, {"cookie": ""}):
            assert [status(url, path, **wrong) for path in ("/", static, polling)] == [403] * 3
            assert status(url, socket_io, **wrong, **UPGRADE) == 403
        assert [status(url, path, cookie=token) for path in ("/", static, polling)] == [200] * 3
        assert status(url, socket_io, cookie=token, **UPGRADE) == 101
        assert status(url, "/", cookie=token, Host="evil.example") == 403
        assert status(url, socket_io, cookie=token, Origin="http://evil.example", **UPGRADE) == 403
        page.open(f"http://127.0.0.1:{urlsplit(url).port}/?token={token}")
        page.wait(lambda: "finished" in page.text("[data-tile=state]"))
        assert "token" not in page.url
        (cookie,) = page.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"
        page.wait(lambda: page.chart("curve")["series"])


def test_port_in_use_and_wrong_host_are_refused_in_one_line(hwlearn, folder):
    pytest.importorskip("nicegui")
    recorded(hl.open_bench("small.toml"), folder / "runs")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = hwlearn("watch", "small.toml", "--port", taken.getsockname()[1], "--no-browser")
        assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)
        assert "--port 0 for a free one" in ended.err[0]
    ended = hwlearn("watch", "small.toml", "--host", "192.0.2.1", "--no-browser")  # a documentation address
    assert (ended.code, len(ended.err)) == (2, 1)
    assert "192.0.2.1" in ended.err[0]


def test_without_the_extra_one_line_says_what_to_install(hwlearn, folder, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "nicegui":
            raise ModuleNotFoundError("No module named 'nicegui'", name="nicegui")
        return imported(name, *rest)

    for name in [name for name in sys.modules if name.partition(".")[0] == "nicegui"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nicegui", None)
    monkeypatch.setattr(builtins, "__import__", without)
    ended = hwlearn("watch", "small.toml")
    assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)
    assert "pip install 'hwlearn[watch]'" in ended.err[0]


def test_what_is_neither_run_nor_bench_is_refused_in_one_line(hwlearn):
    ended = hwlearn("watch", "no-such-run")
    assert (ended.code, ended.out, len(ended.err)) == (2, [], 1)
    assert os.linesep not in ended.err[0]
    assert "no-such-run" in ended.err[0]
