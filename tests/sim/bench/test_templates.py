"""The bench files that `hwlearn init` writes: rehearsed on virtual instruments, and printed in a dry run."""

from __future__ import annotations

import tomllib

import pytest

import hwlearn as hl
from hwlearn_drivers.bench.examples import SMU
from hwlearn_drivers.matrix.examples import MATRIX
from hwlearn_drivers.scanner.examples import SCANNER

TEMPLATES = pytest.mark.parametrize("template", [SMU, MATRIX], ids=["smu", "matrix"])


@pytest.mark.parametrize("template", [SMU, MATRIX, SCANNER], ids=["smu", "matrix", "scanner"])
def test_template_trains_on_virtual_instruments_with_its_addresses_in_place(template):
    listed = tomllib.loads(template.read_text("utf-8"))["backend"]["instruments"]
    assert all("address" in one for one in listed)
    with hl.open_bench(template, {"backend.kind": "virtual-bench", "train.epochs": 5}) as bench:
        costs = [epoch.train.cost for epoch in bench.train().epochs]
    assert costs[-1] < 0.9 * costs[0]


@TEMPLATES
def test_template_is_printed_in_a_dry_run(template, capsys):
    with hl.open_bench(template, {"backend.dry_run": True}) as bench:
        network = bench.network
        network.measure([[0.0] * network.topology.n_inputs, [0.4] * network.topology.n_inputs])
    printed = capsys.readouterr().out
    assert "TCPIP0::192.168.1.20::5025::SOCKET > smua.source.output=1" in printed
    assert printed.rindex("smua.source.output=0") > printed.rindex("smua.source.output=1")


def test_pace_and_links_of_a_real_bench_may_be_stated_in_a_rehearsal():
    stated = {"settle": "3 ms", "ramp_step": "50 mV", "timeout": "2 s", "visa_library": "@ivi", "baud": 9600}
    changes = {"backend.kind": "virtual-bench", **{f"backend.{key}": value for key, value in stated.items()}}
    with hl.open_bench(SMU, changes) as bench:
        assert bench.network.settle_s == 3e-3
    with hl.open_bench(SMU, {"backend.kind": "virtual-bench"}) as bench:
        assert bench.network.settle_s == 0.0
