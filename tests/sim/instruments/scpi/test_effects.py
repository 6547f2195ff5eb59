"""Every command of a virtual SCPI instrument is modelled, refused, or stored without effect, and listed as such.

The lists are in docs/virtual-instruments.md (stored, refused) and docs/virtual-instruments-commands.md (modelled).
"""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path

import pytest

from hwlearn_sim.instruments.capability import Meters

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "virtual-instruments.md"
COMMANDS = ROOT / "docs" / "virtual-instruments-commands.md"
SCPI = ROOT / "sim" / "hwlearn_sim" / "instruments" / "scpi"
FAMILIES = {
    "2400": ("2400", "2401", "2410"),
    "2450": ("2450", "2460", "2461"),
    "B2900": ("B2902A", "B2912A", "B2901B"),
}
HEADINGS = {"stored": "stored, no effect", "refused": "refused"}


def section(page: Path, heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"{page.name} has no heading {heading!r}"
    return found[1]


def listed(family: str, effect: str) -> list[str]:
    """Return the commands of a family that the documentation lists with an effect."""
    if effect == "modelled":
        return [line for line in section(COMMANDS, f"{family} family").splitlines() if re.match(r"[*A-Z\[]", line)]
    rows = section(PAGE, f"{family} family: {HEADINGS[effect]}").splitlines()
    return [name for row in rows if row.startswith("|") for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.mark.parametrize("effect", ["modelled", "stored", "refused"])
@pytest.mark.parametrize(("family", "model"), [(family, one) for family in FAMILIES for one in FAMILIES[family]])
def test_documentation_lists_every_command(family, model, effect, rack):
    there = [name for name, what in rack(model, (1,)).instrument.effects.items() if what == effect]
    names = listed(family, effect)
    assert len(names) == len(set(names))
    assert set(there) - set(names) == set(), "these commands are missing from the documentation"
    assert set(names) - set(there) == set(), "the documentation lists commands that the instrument does not have"


def test_a_stored_setting_without_an_entry_is_found(rack):
    """The comparison sees a setting that somebody adds without listing it."""
    one = rack("2400").instrument
    from hwlearn_sim.instruments.scpi.parameters import Flag

    one.without_effect("SYSTem:NEW", Flag(), False)
    assert one.effects["SYSTem:NEW"] == "stored"
    assert "SYSTem:NEW" not in listed("2400", "stored")


@pytest.mark.parametrize("module", sorted(SCPI.rglob("*.py")), ids=lambda path: path.stem)
def test_no_setting_is_stored_and_never_used(module):
    """A setting of which nothing depends must be declared so, with `without_effect`."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    loads = [
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    ]
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and _stores(node.value):
            pytest.fail(f"line {node.lineno}: the setting is stored and dropped")
        if isinstance(node, ast.Assign) and _stores(node.value):
            target = node.targets[0]
            if isinstance(target, ast.Attribute) and not target.attr.startswith("_"):
                continue  # public: used by another module, which vulture checks
            used = loads if isinstance(target, ast.Attribute) else names
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", None)
            assert name is None or name in used, f"line {node.lineno}: {name} is never read"


def _stores(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "stored_setting"
    )


@pytest.mark.parametrize("model", ["2400", "2450", "B2902A"])
def test_stored_settings_change_no_reading(model, rack):
    """Readings with the same noise are equal, whatever is stored."""
    read = {"2400": ":OUTP ON;:READ?", "2450": ":OUTP ON;:READ?", "B2902A": ":OUTP ON;:READ? (@1)"}[model]
    plain, changed = rack(model, (1,)), rack(model, (1,))
    for name in [name for name, what in changed.instrument.effects.items() if what == "stored"]:
        header = re.sub(r"\[[^\]]*\]", "", name).replace("#", "1").lstrip(":")
        for value in (" 1", " ON", " 'text'", " MAX", ""):
            changed.instrument.execute(f":{header}{value}".encode())
    changed.errors()
    assert changed.query(read) == plain.query(read)


MODELS = ("2400", "2410", "2450", "2461", "B2902A", "B2911A")
VALUES = (
    "", "1", "0", "-1", "3", "1e-3", "1e9", "INF", "NAN", "ON", "OFF", "MIN", "MAX", "DEF", "UP", "'VOLT'",
    '"RES"', "VOLT", "BUS", "TIM", "SWE", "LIST", "MEM", "AUTO", "1,2,3", "(@1)", "'x'", "#11a", "1,COMM", "PULS",
    '"SimpleLoop",3', "99999999999999999999", "5,4,3", "MOV", "0,0,0", "(VOLT/CURR)", "SWE", "LIST", "((((",
)  # fmt: skip


@pytest.mark.share(12)
@pytest.mark.parametrize("seed", range(24))
def test_no_message_raises_an_exception(seed, rack):
    """Every header of the instruments, with parameters of every kind, is executed or refused with an error."""
    rng = random.Random(seed)
    instrument = rack(MODELS[seed % len(MODELS)], (1,), meters=Meters(noise=1.0)).instrument
    headers = [name for name in instrument.effects if "COUNt" not in name and "POINts" not in name]
    for _ in range(120):
        name = rng.choice(headers)
        header = re.sub(r"\[([^\]]*)\]", lambda part: part[1] if rng.random() < 0.5 else "", name)
        header = re.sub(r":+", ":", header.replace("#", rng.choice(["", "1", "2", "9"]))).strip(":")
        message = f":{header}{rng.choice(['?', '', ''])} {rng.choice(VALUES)}"
        instrument.execute(message.replace(":*", "*").encode())
