"""The page of the study: every number of it comes from the results in a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hwlearn.errors import SetupError
from hwlearn.study.catalogue import STUDIES, find_study
from hwlearn.study.running import read_any_version
from hwlearn.study.study import Finding, StudyResult, StudyTable
from hwlearn.units import format_quantity

_HEAD = """# The study

Claims about training networks, measured on simulated ones; nothing here has met hardware. Each number is in the
JSON file of its study, with all points it was computed from, and is repeated by the command above it.
Intervals are 95 % confidence intervals unless stated otherwise.
"""


def study_page(folder: Path, page: Path) -> str:
    """Return the page of all full studies whose results are in a folder, as Markdown.

    Results of earlier versions of a study are left out, and named.

    Parameters
    ----------
    folder : Path
    page : Path
        Where the page will be; charts are linked from there.

    Raises
    ------
    SetupError
        If there is no result, one cannot be read, or lacks a finding that the answer of its study needs.
    """
    files = [folder / f"{name}.json" for name in STUDIES]
    found = [read_any_version(file) for file in files if file.is_file()]
    results = [one for one in found if one.version == find_study(one.study).version]
    if not results:
        raise SetupError(f"{folder} has no results of studies; name their folder with -o, or compute one")
    parts = [_HEAD, _cost(results), _answers(results), _failures(results)]
    link = Path(os.path.relpath(folder, page.parent)).as_posix()
    parts += [_section(one, link) for one in results]
    return "\n".join(parts)


def _cost(results: Sequence[StudyResult]) -> str:
    """Return how long the studies took, and which are missing."""
    missing = [name for name in STUDIES if name not in {one.study for one in results}]
    text = f"All of it took {_duration(sum(one.seconds for one in results))} of one core.\n"
    if missing:
        text += f"\nNot computed in full now: {', '.join(missing)}; `hwlearn study NAME` computes them.\n"
    return text


def _answers(results: Iterable[StudyResult]) -> str:
    """Return the question and the answer of each study."""
    lines = ["## In short\n"]
    for one in results:
        try:
            answer = find_study(one.study).answer({finding.name: finding for finding in one.summary.findings})
        except (KeyError, ValueError) as error:  # ValueError: the least of no findings
            raise SetupError(
                f"the result of the study {one.study} lacks findings that its answer needs; compute it again with "
                f"hwlearn study {one.study}"
            ) from error
        lines.append(f"- **{one.question}** {answer}")
    return "\n".join(lines) + "\n"


def _failures(results: Iterable[StudyResult]) -> str:
    """Return the claims that did not hold, or were not decided."""
    rows = [
        (one.study, finding.text, finding.verdict, _number(finding))
        for one in results
        for finding in one.summary.findings
        if finding.verdict in ("does not hold", "undecided")
    ]
    if not rows:
        return ""
    table = _table(StudyTable("", ("study", "sentence", "verdict", "value"), rows))
    return f"## What did not hold, or is not decided\n\n{table}"


def _section(result: StudyResult, link: str) -> str:
    lines = [f"## {result.study}: {result.question}\n", f"{result.method}\n"]
    lines.append(
        f"`hwlearn study {result.study}`: {result.points} points, {_duration(result.seconds)} of one core, "
        f"[{result.study}.json]({link}/{result.study}.json).\n"
    )
    rows = [(one.text, _number(one), one.basis, one.verdict) for one in result.summary.findings]
    lines.append(_table(StudyTable("", ("sentence", "value and interval", "of", "verdict"), rows)))
    for table in result.summary.tables:
        if table.rows:
            lines.append(f"{table.title}:\n\n{_table(table)}")
    for chart in result.summary.charts:
        lines.append(f"![{chart.title}]({link}/{chart.name}.svg)\n")
    lines += [f"- {remark}" for remark in result.summary.remarks]
    return "\n".join(lines) + "\n"


def _table(table: StudyTable) -> str:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "---|" * len(table.columns)
    return "\n".join([row(table.columns), rule, *(row(cells) for cells in table.rows)]) + "\n"


def _number(finding: Finding) -> str:
    value = _text(finding.value, finding.unit)
    if not (math.isfinite(finding.low) and math.isfinite(finding.high)):
        return f"{value} (one sample)"
    return f"{value} ({_text(finding.low, finding.unit)} to {_text(finding.high, finding.unit)})"


def _text(value: float, unit: str) -> str:
    return format_quantity(value, unit) if unit else f"{value:.3g}"


def _duration(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
