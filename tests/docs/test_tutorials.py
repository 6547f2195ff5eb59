"""Every tutorial, followed step by step in an empty folder."""

from __future__ import annotations

import pytest
from lesson import ROOT, Lesson, LessonError, commands, matches

TUTORIALS = ROOT / "docs" / "tutorials"
SLOW = {"own-backend": "it runs the tests of a backend twice"}
"""Pages that take more than three seconds, and why."""

pages = [
    pytest.param(page.stem, marks=pytest.mark.slow if page.stem in SLOW else ())
    for page in sorted(TUTORIALS.glob("*.md"))
]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Return a function that makes a reader of a page in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HWLEARN_RUNS", raising=False)
    return lambda page: Lesson(page, tmp_path)


@pytest.mark.parametrize("page", pages)
def test_tutorial_works_from_an_empty_folder(page, reader, request):
    if page != "runs":  # whose subject is figures
        request.getfixturevalue("without_rendering")
    assert reader(TUTORIALS / f"{page}.md").follow() >= 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```console\n$ hwlearn init\nwrote something else\n```", "output of"),
        ("```console\n$ hwlearn trian\n```", "exit code 2"),
        ("```console\n$ hwlearn init\nhwlearn: no\n```", "exit code 0"),
        ("```python\n>>> 1 + 1\n3\n```", "Expected"),
        ("```python\nprint(1)\n```", "no file, command or doctest"),
        ("```toml\na = 1\n```", "no file, command or doctest"),
        ("```console\n$ pip install hwlearn[nothing]\n```", "no extra"),
        ("```console\n$ rm x\n```", "cannot run"),
    ],
)
def test_mistake_on_a_page_is_found(text, message, reader, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\nText:\n\n{text}\n", encoding="utf-8")
    with pytest.raises(LessonError, match=message):
        reader(page).follow()


def test_files_and_replaced_tables(reader, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Write `a.toml`:\n\n```toml\n[x]\nb = 1\n\n[x.y]\nc = 2\n\n[z]\nd = 3\n```\n\n"
        "Change the table `[x]` of `a.toml`:\n\n```toml\n[x]\nb = 4\n```\n",
        encoding="utf-8",
    )
    assert reader(page).follow() == 2
    assert (tmp_path / "a.toml").read_text() == "[x]\nb = 4\n\n[z]\nd = 3\n"


def test_commands_over_several_lines_and_their_output():
    found = list(commands("$ a \\\n  b\nout\n$ c\n"))
    assert [(line.split(), output) for line, output in found] == [(["a", "b"], "out\n"), (["c"], "")]
    assert matches("one ... three\n", "one\ntwo   three\n\n")
    assert not matches("one\n", "two\n")
