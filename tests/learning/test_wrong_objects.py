"""Classes, names and numbers where objects of the learning part are wanted are refused at once, by name."""

import pytest

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn_sim import KirchhoffTwin

GRAPH = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 1e-3))
RULE, COST, SGD = hl.GEP(hl.ClampNudge(0.1)), hl.MSE(), hl.SGD(1e-6)


def trainer(rule=RULE, cost=COST, optimizer=SGD, network=None, **options):
    with KirchhoffTwin(GRAPH, LIMITS) as twin:
        return hl.Trainer(twin if network is None else network, rule, cost, optimizer, **options)


WRONG = {
    "rule is a class": (lambda: trainer(rule=hl.GEP), "GEP"),
    "rule is a name": (lambda: trainer(rule="gep"), "'gep'"),
    "rule is None": (lambda: trainer(rule=None), "None"),
    "rule is a nudge": (lambda: trainer(rule=hl.ClampNudge(0.1)), "ClampNudge"),
    "cost is a class": (lambda: trainer(cost=hl.MSE), "MSE"),
    "cost is a name": (lambda: trainer(cost="mse"), "'mse'"),
    "optimizer is a class": (lambda: trainer(optimizer=hl.SGD), "SGD"),
    "optimizer is a name": (lambda: trainer(optimizer="adam"), "'adam'"),
    "optimizer is a number": (lambda: trainer(optimizer=0.1), "0.1"),
    "network is a class": (lambda: trainer(network=KirchhoffTwin), "KirchhoffTwin"),
    "network is a graph": (lambda: trainer(network=GRAPH), "Topology"),
    "model is a text": (lambda: trainer(model="x"), "model"),
    "seed is a text": (lambda: trainer(seed="x"), "seed"),
    "nudge is a class": (lambda: hl.GEP(hl.ClampNudge), "ClampNudge"),
    "nudge is a number": (lambda: hl.GEP(0.1), "0.1"),
    "nudge is an unknown name": (lambda: hl.GEP("clam"), "clam"),
    "switch is a text": (lambda: hl.GEP(hl.ClampNudge(), symmetric="yes"), "symmetric"),
    "strength is a text": (lambda: hl.ClampNudge("0.1"), "strength"),
    "strength is a switch": (lambda: hl.CurrentNudge(True), "strength"),
    "rate is a text": (lambda: hl.SGD("fast"), "rate"),
    "rate is missing": (lambda: hl.Adam(None), "rate"),
    "limit with another unit": (lambda: hl.Limits("500 mA", "1 V", "0.2 V", "1 mA", ("10 uS", "1 mS")), "voltage"),
    "limit is a table": (lambda: hl.Limits({}, "1 V", "0.2 V", "1 mA", ("10 uS", "1 mS")), "voltage"),
    "epochs are a text": (lambda: hl.Schedule(epochs="3"), "epochs"),
}


@pytest.mark.parametrize(("make", "words"), WRONG.values(), ids=WRONG)
def test_wrong_object_is_refused_when_it_is_given(make, words):
    with pytest.raises(HwlearnError) as refused:
        make()
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["clamp", "current"])
def test_name_of_a_nudge_is_the_nudge(name):
    assert repr(hl.GEP(name).nudge) == repr({"clamp": hl.ClampNudge(), "current": hl.CurrentNudge()}[name])


@pytest.mark.parametrize(
    "use",
    [
        lambda bench: bench.network,
        lambda bench: bench.raw_network,
        lambda bench: bench.train(),
        lambda bench: bench.evaluate(),
        lambda bench: bench.trainer(),
        lambda bench: bench.true_scores(),
        lambda bench: bench.calibrate("noise"),
    ],
)
def test_closed_bench_does_not_reopen_its_instruments(use):
    bench = hl.open_bench("iris")
    with bench:
        bench.network.measure(bench.data.inputs[:1])
    with pytest.raises(HwlearnError, match="iris is closed; to open its network again"):
        use(bench)
    assert bench.closed
    assert not bench.stop()
