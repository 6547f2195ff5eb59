"""Claims: one owner, stale claims, forks, races, and files that somebody else put into the folder."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hwlearn.errors import InUseError, SetupError
from hwlearn_drivers.claims import claim as claims
from hwlearn_drivers.claims import processes
from hwlearn_drivers.claims.ask import ask_for_off, end_owner
from hwlearn_drivers.claims.claim import Claim, check_unclaimed, claim_path, owner_of
from hwlearn_drivers.claims.keys import address_key
from hwlearn_drivers.errors import HaltedError

ADDRESS = "socket://192.0.2.5:5025"
KEY = address_key(ADDRESS)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork and no such files")

RACE = """
import sys
from hwlearn.errors import InUseError
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.claims.keys import address_key
print("ready", flush=True)
sys.stdin.readline()
try:
    claim = Claim(sys.argv[1], address_key(sys.argv[1]))
    print("won", flush=True)
except InUseError as error:
    print(error, flush=True)
sys.stdin.read()
"""

HOLD = """
import sys, time
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.claims.keys import address_key
claim = Claim(sys.argv[1], address_key(sys.argv[1]))
claim.identified("MODEL 2400", "1234")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder():
    """Start a process that claims an address; it is killed after the test."""
    started = []

    def start(address=ADDRESS, code=HOLD):
        process = subprocess.Popen([sys.executable, "-c", code, address], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_second_process_is_refused_with_the_name_of_the_first(holder):
    first = holder()
    with pytest.raises(InUseError) as raised:
        Claim("TCPIP::192.0.2.5::5025::SOCKET", KEY)
    text = str(raised.value)
    for words in (
        f"process {first.pid}",
        processes.user_name(),
        socket.gethostname(),
        "-c",
        "since 20",
        "hwlearn off",
    ):
        assert words in text
    with pytest.raises(InUseError, match=f"process {first.pid}"):
        check_unclaimed(["socket://192.0.2.6:5025", ADDRESS])
    check_unclaimed(["socket://192.0.2.6:5025"])


def test_second_claim_of_this_process_is_refused():
    with_claim = Claim(ADDRESS, KEY)
    with pytest.raises(InUseError, match=rf"this process \({os.getpid()}\)"):
        Claim(ADDRESS, KEY)
    with_claim.release()
    with_claim.release()
    Claim(ADDRESS, KEY).release()


def test_instrument_is_recognised_at_another_address(holder):
    first = holder()
    other = Claim("GPIB0::24::INSTR", address_key("GPIB0::24::INSTR"))
    with pytest.raises(InUseError, match=f"process {first.pid}"):
        other.identified("2400", "1234")
    other.identified("2400", "1235")
    other.release()


def test_virtual_instruments_may_share_a_serial_number():
    one = Claim("socket://127.0.0.1:1", address_key("socket://127.0.0.1:1"))
    two = Claim("socket://127.0.0.1:2", address_key("socket://127.0.0.1:2"))
    one.identified("2400", "1")
    two.identified("2400", "1")
    one.release()
    two.release()


def test_claim_of_a_killed_process_is_stale(holder):
    first = holder()
    assert owner_of(KEY).pid == first.pid
    first.kill()
    first.wait()
    assert claim_path(KEY).stat().st_size > 0  # it had no time to clear its name
    assert owner_of(KEY) is None
    mine = Claim(ADDRESS, KEY)
    mine.identified("MODEL 2400", "1234")
    assert owner_of(KEY).pid == os.getpid()
    mine.release()
    assert owner_of(KEY) is None


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_child_does_not_hold_the_claim_of_its_parent(holder):
    code = textwrap.dedent("""
        import os, sys, time
        from hwlearn_drivers.claims.claim import Claim
        from hwlearn_drivers.claims.keys import address_key
        claim = Claim(sys.argv[1], address_key(sys.argv[1]))
        child = os.fork()
        if child == 0:
            claim.release()  # not its own
            os.close(1)
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
        print("held", flush=True)
        print(child, flush=True)
        time.sleep(60)
    """)
    parent = holder(code=code)
    child = int(parent.stdout.readline())
    try:
        assert owner_of(KEY).pid == parent.pid
        with pytest.raises(InUseError, match=f"process {parent.pid}"):
            Claim(ADDRESS, KEY)
        parent.kill()
        parent.wait()
        os.kill(child, 0)  # still lives
        Claim(ADDRESS, KEY).release()
    finally:
        os.kill(child, signal.SIGKILL)


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_child_can_claim_for_itself_and_leaves_the_listener_of_its_parent(holder):
    held = Claim(ADDRESS, KEY)
    port = owner_of(KEY).port
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = Claim("socket://192.0.2.6:1", address_key("socket://192.0.2.6:1"))
            os.write(write, str(owner_of(own.key).port).encode())
            own.release()
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as answers:
        assert int(answers.read()) not in (0, port)
    assert os.waitpid(child, 0)[1] == 0
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    held.release()


def test_one_of_50_openers_wins(claims_here):
    """Threads are openers too: each opens the file for itself."""
    barrier = threading.Barrier(50)
    won, refused = [], []

    def opener():
        barrier.wait()
        try:
            won.append(Claim(ADDRESS, KEY))
        except InUseError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=opener) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(won), len(refused)) == (1, 49)
    assert all(f"this process ({os.getpid()})" in text for text in refused)
    won[0].release()


@pytest.mark.slow
def test_one_of_12_processes_wins(claims_here):
    line = [sys.executable, "-c", RACE, ADDRESS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    everyone = [subprocess.Popen(line, **pipes) for _ in range(12)]
    try:
        assert [one.stdout.readline() for one in everyone] == ["ready\n"] * 12
        for one in everyone:
            one.stdin.write("go\n")
            one.stdin.flush()
        answers = [one.stdout.readline() for one in everyone]
    finally:
        for one in everyone:
            one.communicate()  # the winner holds it until all have tried
    winners = [one.pid for one, answer in zip(everyone, answers, strict=True) if answer == "won\n"]
    assert len(winners) == 1
    assert sum(f"process {winners[0]} of" in answer for answer in answers) == 11


@POSIX
def test_lock_of_a_program_that_is_no_owner_ends_the_opening_with_its_file(claims_here, monkeypatch):
    import fcntl

    monkeypatch.setattr(claims, "_READERS_S", 0.2)
    Claim(ADDRESS, KEY).release()
    path = claim_path(KEY)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(SetupError, match="holds a lock of") as refused:
            Claim(ADDRESS, KEY)
    assert str(path) in str(refused.value)
    Claim(ADDRESS, KEY).release()


def test_reused_process_number_is_recognised(holder):
    first = holder()
    owner = owner_of(KEY)
    assert owner.alive
    assert not replace(owner, start="12345").alive
    assert processes.end(first.pid, "12345") is None  # the process of the claim has ended; this one is not touched
    assert first.poll() is None
    assert processes.end(first.pid, owner.start) is None
    assert first.wait() == -signal.SIGKILL if sys.platform != "win32" else first.wait() == 1
    assert not owner.alive


def test_this_process_and_init_are_never_ended():
    assert processes.end(os.getpid(), processes.started(os.getpid())) is not None
    assert processes.end(1, processes.started(1) or "") is not None


AS_ROOT = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs two users")


def as_another_user(action):
    """Run a function in a forked child with the rights of another user, and return the text that it returns."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(write, str(action()).encode())
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


@AS_ROOT
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_another_user_is_refused_but_can_switch_off(monkeypatch):
    """In a folder outside of those of pytest, which only one user may enter."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        monkeypatch.setenv("HWLEARN_CLAIMS", f"{place}/claims")
        claim = Claim(ADDRESS, KEY)
        claims.switch_off_with(lambda reason: None)
        assert as_another_user(lambda: Claim(ADDRESS, KEY)).startswith("InUseError")
        assert "may not end" in as_another_user(lambda: end_owner(owner_of(KEY), claim_path(KEY)))
        assert "confirmed=True" in as_another_user(lambda: ask_for_off(owner_of(KEY)))
        claim.release()
        # the file is now of root, and the other user claims with it
        assert "Claim" in as_another_user(lambda: Claim(ADDRESS, KEY))
        assert owner_of(KEY) is None
        other = "socket://192.0.2.6:1"
        assert "Claim" in as_another_user(lambda: Claim(other, address_key(other)))
        Claim(other, address_key(other)).release()


def test_failed_claim_of_the_instrument_keeps_nothing_after_release(holder):
    holder()
    other = Claim("GPIB0::24::INSTR", address_key("GPIB0::24::INSTR"))
    with pytest.raises(InUseError):
        other.identified("2400", "1234")
    other.release()
    Claim("GPIB::24", address_key("GPIB::24")).release()


def test_off_during_the_opening_ends_the_opening():
    claim = Claim(ADDRESS, KEY)
    claim.check()
    claims._on_off("requested by a test")
    with pytest.raises(HaltedError, match="requested by a test"):
        claim.check()
    claim.renew()
    claim.check()
    claim.release()


def test_released_claim_can_be_renewed():
    claim = Claim(ADDRESS, KEY)
    claim.release()
    other = Claim(ADDRESS, KEY)
    with pytest.raises(InUseError):
        claim.renew()
    other.release()
    claim.renew()
    assert owner_of(KEY).pid == os.getpid()
    claim.release()
