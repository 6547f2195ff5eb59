"""Streams of valid, damaged and random bytes to the sanitized library, and libFuzzer if clang has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import make
from .record import PLAIN
from .rig import FIRMWARE
from .wire_blocks import block, framed

REPOSITORY = FIRMWARE.parent
CODES = [-102, -104, -108, -109, -113, -161, -200, -203, -221, -222, -224, -240, -340, -350, -363]
SETUP = b"\5\2\0\0"  # a record with wide limits, correct CRCs, no pauses
SEEDS = [
    b"*IDN?\nSYST:CAP?\nSYST:ERR?\n",
    b"SOUR:VOLT 0,0.5;VOLT? 0;:ROUT:CLOS 3;OPEN\n",
    b"MEAS:VOLT?\nEDGE:DATA?\n",
    b"OUTP:ARM 0,7;:OUTP OFF;:SYST:STAT?\nOUTP:ARM 8,9;:SOUR:VOLT 0,0.5\n",
    b"CAL:UNL F-1\nCAL:DATA?\n",
    b"SEQ:SIDE 1;AVER 4;SETT 0\nSEQ:FREE? " + block([32768] * 8) + b"\n",
    b"SEQ:NUDG? " + block([33000] * 8 + [32900] * 8) + b"\nSEQ:TWOP? 0.5," + block([30000] * 12) + b"\n",
    b"EDGE:DATA "
    + block([77] * 32)
    + b"\nCAL:UNL F-1\nCAL:DATA "
    + framed(replace(PLAIN, serial="F-1").encode())
    + b"\n",
]


def play(environment: dict[str, str], streams: int, first: int) -> subprocess.Popen[str]:
    library = environment["HWLEARN_BOARD_LIBRARY"]
    options = ["--streams", str(streams), "--first", str(first), "--seed", "streams"]
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.play", library, *options],
        cwd=REPOSITORY, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def play_all(environment: dict[str, str], streams: int, start: int = 0) -> Counter[str]:
    """Run the streams in two parallel programs and return their counters."""
    players = [play(environment, streams // 2, first) for first in (start, start + streams // 2)]
    seen: Counter[str] = Counter()
    ends = [player.communicate() for player in players]
    for player, (out, err) in zip(players, ends, strict=True):
        assert player.returncode == 0, err[-4000:]
        assert err == ""  # a sanitizer report that does not end the program
        seen.update(json.loads(out))
    assert seen["streams"] == streams
    return seen


@pytest.mark.parametrize("streams", [400, pytest.param(2000, marks=pytest.mark.slow)])
def test_streams_without_sanitizer_report(sanitized: dict[str, str], streams: int) -> None:
    seen = play_all(sanitized, streams)
    if streams == 2000:  # fewer may miss the rarest
        assert [code for code in CODES if not seen[str(code)]] == []
    assert seen["damaged"] > streams // 2


@pytest.mark.slow
def test_hundred_thousand_streams_without_sanitizer_report(
    sanitized: dict[str, str], seeds: Callable[..., range]
) -> None:
    chosen = seeds(100_000, 3_000)
    seen = play_all(sanitized, len(chosen), chosen.start)
    if len(chosen) == 100_000:  # a share may miss the rarest
        assert [code for code in CODES if seen[str(code)] < 100] == []
    assert seen["damaged"] > len(chosen) // 2
    print(json.dumps(seen))


def test_sanitizer_reports_a_real_fault(sanitized: dict[str, str]) -> None:
    """The sanitizer is active: use of a freed board ends the program with its report."""
    script = f"""if True:
        from pathlib import Path
        from {__package__}.rig import Rig
        rig = Rig(Path({sanitized["HWLEARN_BOARD_LIBRARY"]!r}))
        board = rig.lib.host_new()
        rig.lib.host_free(board)
        rig.lib.host_is_on(board)
    """
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, env=sanitized, text=True, capture_output=True, check=False
    )
    assert done.returncode == 77
    assert "heap-use-after-free" in done.stderr


@pytest.mark.slow
def test_libfuzzer_finds_no_fault(tmp_path: Path, seeds: Callable[..., range]) -> None:
    """libFuzzer finds no sanitizer report, no limit violation and no missing reply at the end."""
    clang = shutil.which(os.environ.get("CLANG", "clang"))
    if clang is None:
        pytest.skip("clang is not installed")
    probe = subprocess.run(
        [clang, "-fsanitize=fuzzer,address,undefined", "-x", "c", "-", "-o", str(tmp_path / "probe")],
        input="#include <stdint.h>\n#include <stddef.h>\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { (void)d; (void)n; return 0; }\n",
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip("this clang has no libFuzzer")
    make("fuzz")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for k, seed in enumerate(SEEDS):
        (corpus / f"seed-{k}").write_bytes(SETUP + seed)
    runs = seeds(200_000, 30_000)
    done = subprocess.run(
        [str(FIRMWARE / "build" / "fuzz" / "fuzz_stream"), f"-runs={len(runs)}", "-max_len=4096",
         f"-seed={1 + runs.start}",
         f"-dict={FIRMWARE / 'tests' / 'fuzz.dict'}", f"-artifact_prefix={tmp_path}/", str(corpus)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
