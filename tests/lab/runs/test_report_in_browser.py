"""The HTML report in Chromium: no request, no error, and no page wider than a phone."""

import json
import shutil

import pytest

import hwlearn as hl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromedriver") is None, reason="Chromium's driver is not installed"),
]


@pytest.fixture
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    opened = webdriver.Chrome(options, service)
    yield opened
    opened.quit()


def requests(browser):
    """Return the addresses of all requests so far."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("name", ["iris", "regression"])
def test_report_loads_alone_and_fits_a_phone(browser, tmp_path, name):
    with hl.open_bench(name, ["train.epochs=2"]) as bench:
        bench.train(
            record=tmp_path, note="<script>document.title = 'stolen'</script><img src='http://192.0.2.1/x'>"
        )
    report = hl.open_run(bench.run_folder).report()
    browser.get(report.as_uri())
    assert browser.title.endswith(f": {name} on sim")
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser) if not url.startswith("data:")] == [report.as_uri()]
    for width in (1200, 390):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    drawn = browser.execute_script("return [...document.querySelectorAll('svg')].map(s => s.getBBox().width)")
    assert len(drawn) >= 6
    assert all(wide > 100 for wide in drawn)
