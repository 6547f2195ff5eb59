"""What came out of a run, in one sentence and a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.runs.contents import RunContents
from hwlearn.learning.records import Epoch
from hwlearn.learning.scoring import Score

Tone = Literal["good", "open", "bad"]
_Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""

_ENDS = {
    "finished": ("good", "The training ran to its end."),
    "no improvement": ("good", "The training ended because its score did not improve any more."),
    "unhealthy": ("bad", "The training ended because its measured gradients could not be trusted any more."),
    "interrupted": ("open", "The training was interrupted, and can be resumed."),
    "terminated": ("open", "The process was terminated, and the run can be resumed."),
    "aborted": (
        "bad",
        "The process was killed, or the power failed. The run can be resumed.",
    ),
    "created": ("open", "The training has not begun."),
    "running": ("open", "The training is running; this report is of one moment."),
}


@dataclass(frozen=True)
class Verdict:
    """What came out of a run.

    Attributes
    ----------
    tone : {"good", "open", "bad"}
    status : str
        One or two words.
    headline, explanation : str
    numbers : tuple of (str, str, str)
        Name, value and a remark of each number.
    """

    tone: Tone
    status: str
    headline: str
    explanation: str
    numbers: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, contents: RunContents) -> Verdict:
        """Return the verdict of a run."""
        status = contents.status().removeprefix("dry run, ")
        tone, explanation = _end(status)
        epochs = contents.epochs()
        scale = OutputScale.from_facts(contents.meta("target_scale"))
        result = contents.meta("result")
        short = "failed" if status.startswith("failed") else status
        if contents.meta("dry_run"):
            text = "No instrument was contacted: no number of this run is a measurement."
            return cls("open", f"dry run, {short}", "Dry run", text, tuple(_counts(contents, epochs)))
        numbers: list[tuple[str, str, str]] = []
        if result is not None:
            final = Score(**result["measured"])
            rows = f"{result['rows']:,} {'held-out' if result['held_out'] else 'training'} samples"
            headline = f"{_words(final, scale)} on {rows}"
            remark = f"{_interval(final, result['rows'])}{rows}"
            numbers.append(("final measurement", _number(final, scale), remark))
            if result.get("true") is not None:
                true = Score(**result["true"])
                numbers.append(("true value", _number(true, scale), "known only to the simulation"))
        elif epochs:
            last = epochs[-1]
            final, rows = last.validation or last.train, "validation" if last.validation else "training"
            headline = f"{_words(final, scale)} on {rows} samples after {_count(len(epochs), 'epoch')}"
            if tone == "good":  # the run ended before its final measurement
                explanation += " There is no final measurement."
        else:
            headline = "No epoch was completed"
        if epochs:
            numbers += _course(epochs, scale)
        return cls(tone, short, headline, explanation, (*numbers, *_counts(contents, epochs)))


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of successes among a number of trials (Wilson 1927).

    Examples
    --------
    >>> [round(end, 4) for end in wilson_interval(0.9, 50)]
    [0.7864, 0.9565]
    """
    z2 = _Z**2 / count
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / count + z2 / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _end(status: str) -> tuple[Tone, str]:
    if status.startswith("failed"):
        return "bad", f"The training failed: {status.removeprefix('failed').lstrip(': ')}"
    if status.startswith("running on"):
        return "open", f"Status: {status}. This computer cannot see whether the run is still written."
    tone, text = _ENDS.get(status, ("open", f"Status: {status}."))
    return ("good" if tone == "good" else "bad" if tone == "bad" else "open"), text


def _course(epochs: list[Epoch], scale: OutputScale | None) -> list[tuple[str, str, str]]:
    best = max(epochs, key=lambda epoch: epoch.merit)
    kind = "training" if best.validation is None else "validation"
    first = epochs[0].validation or epochs[0].train
    found = [("best epoch", f"{best.number + 1} of {len(epochs)}", "")]
    found[0] = (*found[0][:2], f"{_number(best.validation or best.train, scale)} on {kind} samples")
    return [*found, ("first epoch", _number(first, scale), f"{kind} samples")]


def _counts(contents: RunContents, epochs: list[Epoch]) -> list[tuple[str, str, str]]:
    requested = contents.meta("epochs_requested")
    of = f"of {requested} requested" if requested else ""
    found = [("epochs", f"{len(epochs):,}", of)]
    measured = sum(epoch.measurements for epoch in epochs)
    found.append(("measured samples", f"{measured:,}", f"{_count(contents.steps(), 'update')}"))
    seconds = contents.seconds()
    rate = f"{measured / seconds:,.0f} samples per second" if seconds > 0 and measured else ""
    found.append(("duration", duration_text(seconds), rate))
    return found


def duration_text(seconds: float) -> str:
    """Return a duration for a person.

    Examples
    --------
    >>> duration_text(7.12), duration_text(75), duration_text(93_784)
    ('7.1 s', '1 min 15 s', '26 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _words(score: Score, scale: OutputScale | None) -> str:
    kind = "Accuracy" if score.accuracy is not None else "Rms error"
    return f"{kind} {_number(score, scale)}"


def _number(score: Score, scale: OutputScale | None) -> str:
    if score.accuracy is not None:
        return f"{100 * score.accuracy:.1f} %"
    if score.rms_error_V is None:
        return f"cost {score.cost:.4g}"
    if scale is not None and scale.unit:
        return scale.error_text(score.rms_error_V)
    volts = score.rms_error_V
    number, unit = (1e3 * volts, "mV") if volts >= 1e-6 else (1e9 * volts, "nV")
    return f"{f'{number:#.3g}'.rstrip('.')} {unit}"


def _interval(score: Score, rows: int) -> str:
    if score.accuracy is None or rows < 1:
        return ""
    low, high = wilson_interval(score.accuracy, rows)
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f} %, "


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
