"""The report of a run as one HTML file, which needs nothing else: no script, no font, no picture from outside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError, RunError
from hwlearn.html_text import escaped, record_table
from hwlearn.installed import version
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.figures.run_figure import graph_of_run
from hwlearn.lab.runs.html_report import tables
from hwlearn.lab.runs.html_report.bench_of_run import BenchOfRun
from hwlearn.lab.runs.html_report.figures import (
    Drawn,
    deviation_figure,
    drop_figure,
    learning_curves,
    value_figures,
)
from hwlearn.lab.runs.html_report.samples import LastSamples
from hwlearn.lab.runs.html_report.style import STYLE
from hwlearn.lab.runs.html_report.svg import drawn_svg
from hwlearn.lab.runs.html_report.verdict import Verdict
from hwlearn.lab.runs.variables import ValuesOfRun
from hwlearn.lab.runs.views.energy import energy_of_run

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Browsers load nothing and run nothing, whatever a note or a name contains."""


def report_page(contents: RunContents) -> str:
    """Return the report of a run as the text of an HTML file.

    Raises
    ------
    RunError
        If the run is damaged.
    """
    contents.verify()
    facts, name = contents.facts, contents.folder.resolve().name
    title = f"{facts.get('bench')} on {facts.get('backend')}"
    made = f"hwlearn {version('hwlearn')}, {datetime.now().astimezone().isoformat(timespec='seconds')}"
    body = "\n".join(_sections(contents, made))
    notes = "".join(f"<p>{escaped(note)}</p>" for note in contents.notes())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(name)}: {escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header class="top"><p>Run {escaped(name)}</p><h1>{escaped(title)}</h1>{notes}</header>\n'
        f"<main>\n{body}\n</main>\n<footer><p>Report by {escaped(made)}, from the run folder alone.</p></footer>"
        "\n</body>\n</html>\n"
    )


def _sections(contents: RunContents, made: str) -> Iterator[str]:
    yield _verdict(Verdict.of(contents))
    epochs = contents.epochs()
    bench, unreadable = _bench(contents)
    yield _section("Learning curves", _figures(learning_curves(contents, epochs)) or _NOTHING_MEASURED)
    yield _section("Predicted and target", _samples(contents, bench, unreadable))
    topology, found = graph_of_run(contents)
    kinds = tuple(found)
    yield from _network(contents, bench, topology, kinds)
    yield _section("Programming", tables.programming(contents, epochs, kinds))
    energy = tables.energy(energy_of_run(contents, epochs))
    if energy:
        yield _section("Energy", energy)
    yield _section("Calibration", tables.calibration(contents))
    yield _section("Bench", tables.bench(contents, bench, topology, kinds))
    yield _section("Instruments", tables.instruments(contents))
    yield _section("Provenance", tables.provenance(contents, made))


_NOTHING_MEASURED: Final = "<p>Nothing was measured.</p>"


def _verdict(verdict: Verdict) -> str:
    numbers = "".join(
        f'<div><dt>{escaped(name)}</dt><dd><span class="value">{escaped(value)}</span>'
        f'<span class="remark">{escaped(remark)}</span></dd></div>'
        for name, value, remark in verdict.numbers
    )
    return (
        f'<section class="verdict {verdict.tone}" aria-labelledby="verdict">'
        f'<span class="status">{escaped(verdict.status)}</span>'
        f'<h2 class="headline" id="verdict">{escaped(verdict.headline)}</h2>'
        f'<p class="explanation">{escaped(verdict.explanation)}</p><dl class="numbers">{numbers}</dl></section>'
    )


def _section(title: str, content: str) -> str:
    name = title.lower().replace(" ", "-")
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escaped(title)}</h2>{content}</section>'


def _figures(drawn: list[Drawn]) -> str:
    if not drawn:
        return ""
    kind = "figures single" if any(one.is_wide for one in drawn) else "figures"
    return f'<div class="{kind}">{"".join(map(_figure, drawn))}</div>'


def _figure(drawn: Drawn) -> str:
    return f"<figure>{drawn.svg}<figcaption>{escaped(drawn.caption)}</figcaption></figure>"


def _bench(contents: RunContents) -> tuple[BenchOfRun | None, str]:
    """Return the bench of a run, or None and why it cannot be read here; the report shows what is left."""
    try:
        return BenchOfRun.of(contents), ""
    except (HwlearnError, OSError) as error:
        return None, f"The bench file of the run cannot be read here: {error}."


def _samples(contents: RunContents, bench: BenchOfRun | None, unreadable: str) -> str:
    last = LastSamples.of(contents, bench)
    if last is None:
        why = _NOTHING_MEASURED
        if contents.count_epochs():
            why = '<p>No readings were kept: the bench file has <code>[run] keep = "summary"</code>.</p>'
        return why
    figure = ""
    if last.targets is None:
        missing = unreadable or (f"{bench.missing}." if bench is not None else "")
        figure = f'<p class="note">Targets are not shown. {escaped(missing[:1].upper() + missing[1:])}</p>'
    else:
        what = "Confusion matrix" if last.classes else "Predicted and target voltages"
        cut = f" Only the first {len(last.rows):,} are shown." if last.cut else ""
        caption = (
            f"{what} of the {len(last.rows):,} training samples of epoch {last.epoch + 1}, as they were measured "
            f"before each update.{cut}"
        )
        text = f"{what.lower()} of {len(last.rows)} samples"
        if last.classes:
            text += f", {int((last.predicted == last.targets).sum())} of them right"
        figure = _figure(Drawn(drawn_svg("samples", what, text, last.draw), caption))
    head, records = last.table()
    numbers = [k for k, name in enumerate(head) if "(mV)" in name or name == "cost"]
    worst = record_table(f"Worst samples of epoch {last.epoch + 1} ({last.kind_of_rows})", head, records, numbers)
    return f'<div class="figures beside">{figure}{worst}</div>'


def _network(
    contents: RunContents, bench: BenchOfRun | None, topology: Topology, kinds: tuple[ValuesOfRun, ...]
) -> Iterator[str]:
    try:
        values = contents.values()
    except RunError:  # nothing was programmed
        yield _section("Edges", "<p>Nothing was programmed.</p>")
        return
    drawn = drop_figure(contents, bench, topology, values, kinds)
    figures = value_figures(contents, topology, values, kinds)
    if isinstance(drawn, Drawn) and not drawn.is_wide:
        yield _section("Edges", _figures([figures[0], drawn, *figures[1:], *deviation_figure(contents, kinds)]))
        return
    yield _section("Edges", _figures(figures))
    content = _figures([drawn]) if isinstance(drawn, Drawn) else f'<p class="note">{escaped(drawn)}</p>'
    yield _section("Network", content)
