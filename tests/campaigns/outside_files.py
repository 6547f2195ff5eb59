"""Files of other programs: tables, netlists and bench files are read as they were meant, or refused in one line.

Files are written in many dialects and encodings, and some are damaged. What is read must have exactly the numbers
that Python's csv and float give, or Decimal for decimal commas; everything else must be an error of the package::

    python tests/campaigns/outside_files.py --examples 20000
"""

from __future__ import annotations

import argparse
import csv
import io
import struct
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, seed, settings

from hwlearn.circuit.spice import read_spice
from hwlearn.errors import HwlearnError
from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.tables import Stated, TableFile

BENCH = Path(__file__).parents[2] / "hwlearn" / "lab" / "benches" / "regression.toml"
ODD = "\"',;\t.# \n\r\0\ufeff\u00b5\u2126\u2212\u2028\x85=[]{}()+-eE_%*$:09a"

damage = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["insert", "replace", "delete", "cut"]), st.floats(0, 1), st.sampled_from(ODD)),
    st.tuples(st.just("byte"), st.floats(0, 1), st.binary(min_size=1, max_size=2)),
)
encodings = st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
ends = st.sampled_from(["\n", "\r\n", "\r"])


def damaged(text: str, encoding: str, end: str, harm: Any) -> bytes:
    """Return the bytes of a file, with one change."""
    if harm is not None and harm[0] != "byte":
        kind, at, character = harm
        k = int(at * len(text))
        kept = {"insert": text[k:], "replace": text[k + 1 :], "delete": text[k + 1 :], "cut": ""}[kind]
        text = text[:k] + (character if kind in ("insert", "replace") else "") + kept
    raw = text.replace("\n", end).encode(encoding, errors="replace")
    if harm is not None and harm[0] == "byte":
        k = int(harm[1] * len(raw))
        raw = raw[:k] + harm[2] + raw[k + 1 :]
    return raw


def refusal(action: Callable[[], Any]) -> tuple[Any, str]:
    """Return the result and an empty text, or None and the name of the error, which must be one line."""
    try:
        return action(), ""
    except HwlearnError as error:
        failed = error
    assert "\n" not in str(failed), repr(failed)
    return None, type(failed).__name__


def same_bits(a: list[float], b: list[float]) -> bool:
    """Return whether numbers are equal to the last bit, the sign of zero too."""
    return [struct.pack("<d", x) for x in a] == [struct.pack("<d", x) for x in b]


# --- tables ---------------------------------------------------------------------------------------------------

FORMATS = ("{!r}", "{:.3f}", "{:.6g}", "{:+.4E}", "{:.17g}", "{:.0f}")
numbers = st.one_of(st.floats(-1e3, 1e3), st.floats(-9e37, 9e37), st.integers(-999, 999).map(float))
TITLES = ("a", "b (mV)", "kind", "x;y", "p,q", "name of, it", "größe", "V1 [mV]", "c", "d", "e", "f")


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[list[str]], dict[str, Any], bool]:
    """Return the text of a table, its cells with decimal points, what is stated, and whether it has a header."""
    width = draw(st.integers(2, 5))
    rows = draw(st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=6))
    form = draw(st.sampled_from(FORMATS))
    delimiter, decimal = draw(st.sampled_from([",.", ";.", ";,", "\t.", "\t,", ",,"]))
    header = draw(st.sampled_from(["names", "numbers", "none", "none"]))
    cells = [[form.format(x) for x in row] for row in rows]
    titles = list(TITLES[:width]) if header == "names" else [str(k) for k in range(width)]
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=delimiter, lineterminator="\n",
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )  # fmt: skip
    if draw(st.booleans()):
        out.write("# a comment; with, delimiters\n")
    if header != "none":
        writer.writerow(titles)
    writer.writerows([[cell.replace(".", decimal) for cell in row] for row in cells])
    stated: dict[str, Any] = {}
    if draw(st.booleans()):
        stated["delimiter"] = delimiter
    if draw(st.booleans()):
        stated["decimal"] = decimal
    if draw(st.booleans()):
        stated["header"] = header != "none"
    return out.getvalue(), cells, stated, header != "none"


def table_example(folder: Path, table: Any, encoding: str, end: str, harm: Any) -> str:
    """Read one table; return how that ended."""
    text, cells, stated, _ = table
    path = folder / "a.csv"
    path.write_bytes(damaged(text, encoding, end, harm))

    def read() -> tuple[TableFile, list[list[float]]]:
        file = TableFile(path, "data file", Stated(**stated, keys="data."))
        return file, file.read(range(file.width)).numbers.tolist()

    found, failed = refusal(read)
    if found is None:
        return failed
    file, values = found
    if harm is None:
        meant = [[float(Decimal(cell)) for cell in row] for row in cells]
        assert len(values) == len(meant), (text, stated, str(file.dialect))
        assert all(same_bits(a, b) for a, b in zip(values, meant, strict=True)), (text, stated, str(file.dialect))
        return "as meant"
    reference = by_csv(path.read_bytes(), file)
    assert len(values) == len(reference), (path.read_bytes(), str(file.dialect))
    assert all(same_bits(a, b) for a, b in zip(values, reference, strict=True)), (path.read_bytes(), values)
    return "as csv and Decimal"


def by_csv(raw: bytes, file: TableFile) -> list[list[float]]:
    """Return the numbers of a table by Python's csv module and Decimal, in the dialect that was shown."""
    codec = "utf-16" if file.dialect.encoding == "UTF-16" else "utf-8-sig"
    text = raw.decode(codec).lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines, quoted = [], False
    for line in text.split("\n"):
        if quoted or not line.lstrip().startswith("#"):
            lines.append(line + "\n")
            quoted ^= line.count('"') % 2 == 1
    rows = list(csv.reader(lines, delimiter=file.dialect.delimiter, skipinitialspace=True))
    rows = [[cell.strip() for cell in row] for row in rows]
    rows = [row for row in rows if any(row)][file.dialect.header :]
    try:
        return [[float(Decimal(cell.replace(file.dialect.decimal, "."))) for cell in row] for row in rows]
    except InvalidOperation:
        raise AssertionError(f"{rows} was read, but Decimal does not") from None


# --- netlists -------------------------------------------------------------------------------------------------

SUFFIXES = {
    "": 0,
    "k": 3,
    "K": 3,
    "Meg": 6,
    "MEG": 6,
    "m": -3,
    "u": -6,
    "\u00b5": -6,
    "\u03bc": -6,
    "n": -9,
    "g": 9,
}
UNITS = ("", "", "ohm", "Ohm", "R", "\u2126", "\u03a9")
EXTRA = (
    ".tran 1n 1u", ".backanno", "* a comment", "", ".temp 27", ".options reltol=1e-6", ".param p=1k", ".end",
    ".model m R(tc1=0)", ".control\nrun\n.endc", ".include a.cir", "C1 n1 0 1n", "+ dc", "; nothing", "V9 n1 n2 0",
)  # fmt: skip


@st.composite
def netlists(draw: st.DrawFn) -> tuple[str, list[float]]:
    """Return the text of a netlist of a chain of resistors, and their ohms."""
    lines, ohms = ["a title"], []
    count = draw(st.integers(1, 4))
    for k in range(count):
        mantissa = draw(st.decimals(min_value=Decimal("0.001"), max_value=9999, places=3))
        suffix = draw(st.sampled_from(list(SUFFIXES)))
        written = f"{mantissa}{suffix}{draw(st.sampled_from(UNITS))}"
        power = SUFFIXES[suffix]
        if draw(st.booleans()) and suffix in ("k", "Meg", "n"):  # 4k7
            whole, digits = draw(st.integers(1, 999)), draw(st.integers(0, 99))
            written, mantissa = f"{whole}{suffix}{digits}", Decimal(f"{whole}.{digits}")
        ohms.append(float(mantissa.scaleb(power)))
        lines.append(f"R{k} n{k} n{k + 1} {written}{draw(st.sampled_from(['', ' ; load', ' $ load', ' tol=1']))}")
    lines.append(f"V1 n0 0 DC 1{draw(st.sampled_from(['', ' AC 1', ' SIN(0 1 1k)']))}")
    lines += [f"R9 n{count} 0 1k", f".print op v(n{count})"]
    for extra in draw(st.lists(st.sampled_from(EXTRA), max_size=2)):
        lines.insert(draw(st.integers(1, len(lines))), extra)
    return "\n".join([*lines, ""]), [*ohms, 1000.0]


def netlist_example(folder: Path, netlist: Any, encoding: str, end: str, harm: Any) -> str:
    """Read one netlist; return how that ended."""
    text, ohms = netlist
    path = folder / "a.cir"
    path.write_bytes(damaged(text, encoding, end, harm))
    found, failed = refusal(lambda: read_spice(path))
    if found is None:
        return failed
    if harm is None and ".end\n" not in text and "V9" not in text:
        assert found.conductances.tolist() == [1 / value for value in ohms], text
        return "as meant"
    return "read"


# --- bench files ----------------------------------------------------------------------------------------------

VALUES = (
    *(
        "1",
        "-1",
        "0",
        "-0.0",
        "true",
        "'text'",
        "'auto'",
        "[]",
        "{}",
        "[[[1]]]",
        "2024-01-01",
        "nan",
        "inf",
        "1e400",
    ),
    *("9" * 18, "9" * 400, "9" * 5000, "1_000", "0x10", "'50 \u00b5s'", "'1 k\u2126'", "'9.91e37 V'"),
    *("'\\ud800'", '"a\\nb"'),
)


@st.composite
def benches(draw: st.DrawFn) -> str:
    """Return the text of a bench file, perhaps with other values or without a line."""
    lines = BENCH.read_text(encoding="utf-8").split("\n")
    for _ in range(draw(st.integers(0, 2))):
        k = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[k].partition("=")
        lines[k] = f"{key}= {draw(st.sampled_from(VALUES))}" if equals and draw(st.booleans()) else ""
    return "\n".join(lines)


def bench_example(folder: Path, text: str, encoding: str, end: str, harm: Any) -> str:
    """Read one bench file; return how that ended."""
    path = folder / "a.toml"
    path.write_bytes(damaged(text, encoding, end, harm))

    def read() -> Any:
        file = load_bench_file(path)
        find_backend(file.tables["backend"], file.where)
        file.limits.build()
        return file

    found, failed = refusal(read)
    if found is None:
        return failed
    raw = path.read_bytes()
    codec = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    reference = tomllib.loads(raw.decode(codec).lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    assert repr(dict(found.tables)) == repr(reference)
    return "as tomllib"


# --- the search -----------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Any, Callable[..., str]]] = {
    "tables": (tables(), table_example),
    "netlists": (netlists(), netlist_example),
    "bench files": (benches(), bench_example),
}


def search(kind: str, examples: int, start: int) -> Counter[str]:
    """Search with hypothesis; return how many examples ended how."""
    ended: Counter[str] = Counter()
    files, example = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:

        @seed(start)
        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(files, encodings, ends, damage)
        def one(file: Any, encoding: str, end: str, harm: Any) -> None:
            ended[example(Path(folder), file, encoding, end, harm)] += 1

        one()
    return ended


def main() -> None:
    """Run the search and print how its examples ended."""
    parser = argparse.ArgumentParser(prog=Path(__file__).name, description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=20_000, help="in all; a third for each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    began = time.monotonic()
    for kind in kinds:
        print(kind)
        for how, count in search(kind, -(-options.examples // len(kinds)), options.seed).most_common():
            print(f"{count:8}  {how}", flush=True)
    print(f"{time.monotonic() - began:.0f} s; no traceback, no number that was changed")


if __name__ == "__main__":
    sys.exit(main())
