"""The check of `make lint` that rejects unchecked narrowing casts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .rig import FIRMWARE

FUNCTION = """#include "limits.h"
#include "narrow.h"
#include "scale.h"
uint16_t code(const converter_t *dac, int32_t uV, const int32_t *values);
uint16_t code(const converter_t *dac, int32_t uV, const int32_t *values)
{
    (void)values;
    int32_t needed = scale_dac_code(dac, uV);
    (void)needed;
    return %s;
}
"""


def narrowing(*variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make narrowing`; skip without clang-query or the headers of the AVR."""
    if not (shutil.which("clang-query") or shutil.which("clang-query-14")):
        pytest.skip("clang-query is not installed")
    if not Path("/usr/lib/avr/include").exists() or not shutil.which("make"):
        pytest.skip("make or avr-libc is not installed")
    return subprocess.run(
        ["make", "-s", "-C", str(FIRMWARE), "narrowing", *variables], capture_output=True, text=True, check=False
    )


def test_sources_have_no_unchecked_narrowing_cast() -> None:
    done = narrowing()
    assert done.returncode == 0, done.stdout


@pytest.mark.share(3)
@pytest.mark.parametrize(
    ("expression", "rejected"),
    [
        ("(uint16_t)scale_dac_code(dac, uV)", True),
        ("(uint16_t)needed", True),
        ("(uint16_t)(needed + 1)", True),
        ("(uint8_t)values[0]", True),
        ("(uint16_t)((uint32_t)needed >> 1)", True),
        ("(uint8_t)(dac->gain_ppm + 1)", True),
        ("(uint16_t)(needed < 0 ? 0 : needed)", True),
        ("fits_word(needed) ? as_word(needed) : FLOATING", False),
        ("low_word((uint32_t)needed)", False),
    ],
)
def test_lint_rejects_an_unchecked_narrowing_cast(tmp_path: Path, expression: str, rejected: bool) -> None:
    source = tmp_path / "code.c"
    source.write_text(FUNCTION % expression)
    done = narrowing(f"CORE={source}")
    assert (done.returncode != 0) == rejected, done.stdout
    assert ("1 unchecked narrowing casts" in done.stdout) == rejected, done.stdout


def test_lint_fails_if_clang_query_or_a_header_is_missing(tmp_path: Path) -> None:
    source = tmp_path / "code.c"
    source.write_text('#include "missing.h"\n')
    done = narrowing(f"CORE={source}")
    assert done.returncode != 0
    assert "missing.h" in done.stdout
    assert narrowing("CLANG_QUERY=/nonexistent").returncode != 0
