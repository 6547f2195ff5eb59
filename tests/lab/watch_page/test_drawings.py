"""What the page draws: well-formed, escaped, with units, and without a page."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from stored_runs import recorded

import hwlearn as hl
from hwlearn.lab.watch_page.charts import learning_curve, predicted_against_target
from hwlearn.lab.watch_page.network_panels import NetworkPanel, values_panel
from hwlearn.lab.watch_page.summary import alarm, badge, header, health_table, provenance_table, tiles
from hwlearn.lab.watch_page.theme import DARK, LIGHT
from hwlearn.lab.watching.choice import FixedRun
from hwlearn.lab.watching.follower import RunFollower

HOSTILE = "<script>alert(1)</script>&\"'"


@pytest.fixture
def follower(bench_path, tmp_path):
    found = RunFollower(FixedRun(recorded(hl.open_bench(bench_path), tmp_path)))
    found.poll()
    return found


def svg(html):
    return ET.fromstring(html[: html.index("</svg>") + len("</svg>")])


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_edge_and_node_is_drawn_and_says_its_drop_or_value(follower, palette):
    view, sample = follower.view, follower.sample(2)
    values, text = values_panel(view, palette)
    assert text.startswith("Requested conductance")
    drops = NetworkPanel.of_sample(view, sample, palette, "")
    for panel, words in ((values, ["µS"]), (drops, ["drop", "mV", "µS"])):
        titles = [title.text for title in svg(panel.drawing).iter("title")]
        edges = [title for title in titles if title.startswith("edge ")]
        assert len(edges) == view.definition.topology.n_edges
        assert all(word in title for title in edges for word in words)
        assert len(titles) == len(edges) + view.definition.topology.n_nodes
    assert f"drop {1e3 * sample.drops[7]:.3g} mV" in next(t for t in titles if t.startswith("edge 7 "))
    assert "Sample 2" in drops.facts
    assert "cost" in drops.facts


def test_charts_have_axes_with_units_and_the_numbers_of_the_run(follower):
    view = follower.view
    options = json.loads(json.dumps(learning_curve(view, LIGHT)))
    assert options["xAxis"]["name"] == "epoch"
    assert [axis["name"] for axis in options["yAxis"]] == ["cost of a batch (V²)", "rms error (mV)"]
    series = {one["name"]: one["data"] for one in options["series"]}
    assert series["training, measured"][-1] == [5, 1e3 * view.epochs[-1].measured["train"].rms_error_V]
    assert series["training, true"][-1] == [5, 1e3 * view.epochs[-1].true["train"].rms_error_V]
    options = predicted_against_target(view.prediction, LIGHT, 2)
    assert (options["xAxis"]["name"], options["yAxis"]["name"]) == ("target (mV)", "measured output (mV)")
    assert sum(len(one["data"]) for one in options["series"][:-1]) == 6 * 3


def test_confusion_counts_every_sample_once(follower):
    scored = np.array([[0.1, 0.2], [0.3, 0.1], [0.0, 0.2]])
    found = replace(follower.view.prediction, scored=scored, targets=np.array([0, 0, 1]), classes=("a", "b"),
                    rows=np.arange(3))  # fmt: skip
    assert found.confusion().tolist() == [[1, 1], [0, 1]]
    data = predicted_against_target(found, LIGHT, None)["series"][0]["data"]
    assert [item["label"]["formatter"] for item in data] == ["1", "1", "0", "1"]


def test_texts_of_a_run_cannot_become_elements_of_the_page(follower):
    view = follower.view
    last = replace(view.epochs[-1], health={HOSTILE: HOSTILE, "alarms": [HOSTILE], "limits": {HOSTILE: 1.0}})
    part = replace(view.sessions[0], facts={"note": HOSTILE, "instruments": [HOSTILE], "command": HOSTILE})
    condition = replace(view.condition, detail=HOSTILE, outputs="may be on", outputs_detail=HOSTILE)
    hostile = replace(view, name=HOSTILE, facts={**view.facts, "bench": HOSTILE, "ended": HOSTILE},
                      epochs=(*view.epochs[:-1], last), sessions=(part,), condition=condition)  # fmt: skip
    for build in (alarm, badge, tiles, health_table, provenance_table, lambda one: header(one, HOSTILE)):
        text = build(hostile)
        assert "<script" not in text
        ET.fromstring(f"<div>{text}</div>")
    assert "OUTPUTS MAY BE ON" in alarm(hostile)
    assert "<script" not in header(None, HOSTILE)


def test_health_is_shown_when_it_is_recorded(follower):
    view = follower.view
    old = replace(view, epochs=(*view.epochs[:-1], replace(view.epochs[-1], health={})))
    assert "not recorded" in health_table(old)
    assert "not recorded" not in health_table(view)
    health = {"scale_invariance": 0.01234, "power_balance": "not applicable", "saturated_share": 0.25}
    health |= {"limits": {"scale_invariance": 0.002}, "alarms": ["scale_invariance"]}
    shown = replace(view, epochs=(*view.epochs[:-1], replace(view.epochs[-1], health=health)))
    rows = [[cell.text for cell in row] for row in ET.fromstring(f"<d>{health_table(shown)}</d>").iter("tr")]
    assert rows[0] == ["scale invariance", "0.01234", "at most 0.002"]
    assert rows[1][:2] == ["power balance", "not applicable"]
    assert "ALARM: scale invariance" in health_table(shown)
    assert "25 %" in tiles(shown)
