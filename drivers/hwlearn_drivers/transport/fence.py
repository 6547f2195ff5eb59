"""Questions whose answer nobody can mistake: they part old replies from new ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fence:
    """A question whose answer nobody can mistake.

    Attributes
    ----------
    template : str
        Sent, with ``{n}`` replaced by a random number below ``below`` that comes back.
    below : int
    after : str
        Sent when all is well again; restores what the question changed.
    """

    template: str
    below: int
    after: str = ""

    def question(self, n: int) -> str:
        """Return the question for the number n."""
        return self.template.replace("{n}", str(n))

    def answered(self, line: str, n: int) -> bool:
        """Whether a line answers the question for n."""
        try:
            return float(line) == n
        except ValueError:
            return False


SCPI_FENCE = Fence("*ESE {n};*ESE?", 256, after="*ESE 0")
"""For instruments with an IEEE 488.2 event enable register; ``*OPC?`` could be answered by a late ``1``."""

TSP_FENCE = Fence('print("{n}")', 10**9)
"""For instruments that run Lua."""
