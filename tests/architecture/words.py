"""Count the words of an older dialect that the field has better words for, in code, tests and docs.

Run it as a program, ``python tests/architecture/words.py [FOLDER]``: one line a word, then the sum. It reads
Python, C, Markdown and TOML files that git tracks. Some words are rightly used in places ("the code stands alone",
a person is told); the counts are for comparison, not a gate.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

WORDS = {
    "told, tell, tells, telling": r"told|tells?|telling",
    "asked, asks": r"asked|asks",
    "none": r"none",
    "whoever, whatever": r"whoever|whatever",
    "hang(s) on": r"hangs?|hanging",
    "stand(s), stood": r"stands?|stood",
    "waist, wings, floors, house": r"waist|wings?|floors?|house",
    "way(s) out": r"ways? out|ways_out",
    "ceiling, span, room": r"ceilings?|span|room",
    "come to rest": r"come to rest|at rest|comes to rest",
    "bent, straight": r"bent|straight",
    "adrift, hopeless": r"adrift|hopeless",
    "either sign": r"either sign",
    "do not trust": r"trust(ed)?",
    "not seen": r"not seen|unseen",
    "not met yet, none built yet": r"not met yet|none built|met hardware",
    "staircase, hooked": r"staircase|hooked",
    "thereby": r"thereby",
    "lets go": r"lets? go|letting go",
}
SUFFIXES = {".py", ".c", ".h", ".md", ".toml"}


def counts(folder: Path) -> Counter[str]:
    """Return how often each group of words occurs as words, or as parts of names, in tracked files."""
    names = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True).stdout
    found: Counter[str] = Counter(dict.fromkeys(WORDS, 0))
    for name in names.splitlines():
        path = folder / name
        if path.suffix not in SUFFIXES or path.name in ("CHANGELOG.md", "words.py") or not path.is_file():
            continue
        # parts of names count as words: test_nobody_is_asked
        text = path.read_text(encoding="utf-8").replace("_", " ")
        for word, pattern in WORDS.items():
            found[word] += len(re.findall(rf"\b(?:{pattern})\b", text, re.IGNORECASE))
    return found


if __name__ == "__main__":
    total = counts(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2])
    for word, number in sorted(total.items(), key=lambda item: -item[1]):
        print(f"{number:6d}  {word}")
    print(f"{total.total():6d}  in all")
