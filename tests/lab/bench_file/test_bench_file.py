"""Bench files: accepted values, one-line errors, and files written with all defaults filled in."""

import os
import re
import tomllib

import numpy as np
import pytest

from hwlearn.errors import HwlearnError, SetupError
from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench.bench import open_bench
from hwlearn.lab.bench_file.file import load_bench_file, shipped_benches

WRONG = {
    # setting -> pattern of the error message
    "network.kind=ring": r"network\.kind = 'ring'.*crossbar, grid",
    "network.kind=[]": r"network\.kind = \[\]",
    "network.colums=3": r"unknown key network\.colums = 3.*the keys are: kind, element, elements, nodes, edges",
    "network.node=3": r"unknown key network\.node = 3, did you mean 'nodes'\?",
    "network.nodes=many": r"network\.nodes = 'many'",
    "network.nodes=2.5": r"network\.nodes = 2\.5",
    "network.nodes=true": r"network\.nodes = True",
    "network.nodes='14'": r"network\.nodes = '14'",
    "network.inputs=[0, 99]": "inputs names node 99",
    "network.seed=-1": r"network\.seed = -1",
    "limits.voltage=500 mA": r"limits\.voltage = '500 mA'.*not in V",
    "limits.voltage=-1": r"limits\.voltage",
    "limits.voltage=0": r"limits\.voltage",
    "limits.voltage=nan": r"limits\.voltage",
    "limits.voltage=inf": r"limits\.voltage",
    "limits.voltage=true": r"limits\.voltage",
    "limits.current=1 kS": r"limits\.current = '1 kS'",
    "limits.conductance=1 uS": r"limits\.conductance = '1 uS'",
    "limits.conductance=['1 uS']": r"limits\.conductance",
    "limits.conductance=['2 uS', '1 uS']": r"limits\.conductance.*the smaller first",
    "limits.conductance=['0 S', '1 uS']": r"limits\.conductance",
    "limits.volts=1": r"unknown key limits\.volts",
    "backend.kind=simm": r"backend\.kind = 'simm', did you mean 'sim'\?.*installed are: .*sim",
    "backend.kind=3": r"backend\.kind = 3",
    "backend.device_spred=0.2": r"unknown key backend\.device_spred = 0\.2, did you mean 'device_spread'\?",
    "backend.device_spread=-0.2": r"backend\.device_spread = -0\.2",
    "backend.read_noise=1 mA": r"backend\.read_noise = '1 mA'",
    "backend.conductance_bits=0": "conductance_bits",
    "backend.adc_bits=12": "adc_bits needs .*adc_range",
    "backend.nudges=['push']": r"backend\.nudges",
    "data.source=nowhere.csv": r"nowhere\.csv",
    "data.encoding=linear": r"data\.encoding = 'linear'.*'plain'",
    "data.amplitude=0.4 A": r"data\.amplitude = '0\.4 A'",
    "data.amplitude=-0.4": r"data\.amplitude = -0\.4",
    "data.amplitude=0.6": r"limits\.voltage",
    "data.samples=0": r"data\.samples = 0",
    "data.test_fraction=1": r"data\.test_fraction = 1",
    "train.rule=gap": r"train\.rule = 'gap'.*'gep'",
    "train.nudge=push": r"train\.nudge = 'push'",
    "train.strength=weak": r"train\.strength = 'weak'.*'auto'",
    "train.strength=-1": r"train\.strength = -1",
    "train.kappa=1 kohm": r"train\.kappa = '1 kohm'",
    "train.kappa=0": r"train\.kappa = 0",
    "train.cost=cross-entropy": r"train\.cost = 'cross-entropy'.*mse",
    "train.cost=hinge": r"train\.cost = 'hinge'",
    "train.temperature=0": r"train\.temperature",
    "train.optimizer=adm": r"train\.optimizer = 'adm'",
    "train.rate=0": r"train\.rate = 0",
    "train.rate=fast": r"train\.rate = 'fast'",
    "train.rate=true": r"train\.rate = True",
    "train.epochs=-1": r"train\.epochs = -1",
    "train.epochs=1.5": r"train\.epochs = 1\.5",
    "train.batch=0": r"train\.batch = 0",
    "train.anneal=2": r"train\.anneal = 2",
    "train.subset=0": r"train\.subset = 0",
    "train.subset=[99]": "edge 99",
    "train.subset=[]": "empty",
    "train.subset=1.5": r"train\.subset = 1\.5",
    "train.symmetric=maybe": r"train\.symmetric = 'maybe'",
    "train.readout=all": r"train\.readout = 'all'",
    "train.epoch=5": r"train\.epoch = 5, did you mean 'epochs'\?",
    "trian.epochs=5": r"did you mean 'train'\?",
    "epochs=5": r"section\.key",
    "train.epochs": r"section\.key=value",
}


@pytest.mark.parametrize(("change", "message"), WRONG.items(), ids=WRONG)
def test_wrong_setting_is_named_in_one_line(bench_path, change, message):
    with pytest.raises(HwlearnError) as caught:
        open_bench(bench_path, [change])
    line = str(caught.value)
    assert re.search(message, line)
    assert "\n" not in line
    assert len(line) < 600


SMU = {"kind": "smu", "channels": [{"address": "a", "node": 0}], "edges": 1e-5}
ARC2 = {"kind": "arc2", "firmware": "a.bin"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "sim", "rheostat": {"full": True, "wiper": 1.0}}, r"backend\.rheostat\.full = True: "),
        (
            {"kind": "sim", "rheostat": {"ful": 1.0}},
            r"rheostat\.ful = 1\.0, did you mean 'full'\?; the keys are: full, ",
        ),
        ({"kind": "sim", "rheostat": 3}, r"backend\.rheostat = 3: input should be a table"),
        ({"kind": "virtual-smu", "model": 2450}, r"backend\.model = 2450: input should be text in quotes; or "),
        ({"kind": "sim", "nudges": ["clamp", "push"]}, r"backend\.nudges\[1\] = 'push': .*'resistor'"),
        (
            SMU | {"channels": [{"address": "a", "node": 0, "four_wire": "yes"}]},
            r"channels\[0\]\.four_wire = 'yes': ",
        ),
        (SMU | {"channels": [{"node": 0}]}, r"backend\.channels\[0\]\.address is missing"),
        (
            SMU | {"edges": {"address": "a", "full": "yes"}},
            r"backend\.edges\.full = 'yes': 'yes' is not a quantity",
        ),
        (SMU | {"edges": {"adress": "a"}}, r"unknown key backend\.edges\.adress = 'a', did you mean 'address'\?"),
        (SMU | {"edges": [1e-5, True]}, r"backend\.edges\[1\] = True: "),
        (
            ARC2 | {"pulses": {"voltage": 1.0, "current": 1e-3, "width": ["1 V", 1e-3]}},
            r"pulses\.width\[0\] = '1 V': ",
        ),
    ],
)
def test_wrong_key_of_a_nested_table_is_named(table, message):
    with pytest.raises(SetupError, match=message) as caught:
        find_backend(table, "bench x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network", "not valid TOML"),
        ("[network]\nkind = 'grid'\nkind = 'grid'", "not valid TOML"),
        ("", r"table \[network\] is missing"),
        ("network = 3\nlimits = 3\nbackend = 3\ndata = 3", "network"),
        ("[netwrk]", r"\[netwrk\], did you mean 'network'\?"),
        ("kind = 'grid'", r"unknown table \[kind\]"),
    ],
)
def test_file_that_is_no_bench_is_refused(write, text, message):
    with pytest.raises(SetupError, match=message) as caught:
        load_bench_file(write(text))
    assert "small" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["network", "limits", "backend", "data"])
def test_missing_table_is_named(write, bench_path, key):
    text = re.sub(rf"\[{key}\].*?(?=\n\[|\Z)", "", bench_path.read_text(), flags=re.DOTALL)
    with pytest.raises(SetupError, match=rf"table \[{key}\] is missing"):
        load_bench_file(write(text))


def test_missing_key_is_named(write, bench_path):
    with pytest.raises(SetupError, match=r"limits\.drop is missing"):
        load_bench_file(write(bench_path.read_text().replace('drop = "1 V"\n', "")))


def test_missing_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(SetupError, match=r"no bench file .*gone\.toml"):
        load_bench_file(tmp_path / "gone.toml")
    with pytest.raises(SetupError, match=r"no bench 'iriss', did you mean 'iris'\?"):
        load_bench_file("iriss")
    (tmp_path / "latin.toml").write_bytes('a = "\xe9"'.encode("latin-1"))
    with pytest.raises(SetupError, match=r"latin\.toml"):
        load_bench_file(tmp_path / "latin.toml")


def test_override_is_a_toml_value_or_a_bare_word(bench_path):
    changes = [
        "train.epochs=7",
        "train.nudge=clamp",
        "limits.voltage=450mV",
        "train.subset=[1, 2]",
        "data.bias=0.1",
    ]
    file = load_bench_file(bench_path, changes)
    assert file.train.epochs == 7
    assert file.train.nudge == "clamp"
    assert file.limits.voltage == 0.45
    assert file.train.subset == [1, 2]
    assert file.data.bias == 0.1
    assert load_bench_file(bench_path, {"train.epochs": 7}).train.epochs == 7
    assert file.with_(["train.epochs=8"]).train.epochs == 8
    assert file.train.epochs == 7
    assert load_bench_file(bench_path).train.epochs == 5  # the file itself is untouched


def test_one_override_may_be_given_as_text(bench_path):
    assert load_bench_file(bench_path, "train.epochs=3").train.epochs == 3


def test_keyword_override_has_a_dot_or_two_underscores(bench_path):
    with open_bench(bench_path) as bench:
        other = bench.with_(**{"train.epochs": 3})
        assert other.file.train.epochs == bench.with_(train__epochs=3).file.train.epochs == 3
        assert other.topology == bench.topology


@pytest.mark.share(8)
@pytest.mark.parametrize("name", shipped_benches())
def test_written_bench_of_the_package_reads_the_same(name, tmp_path):
    file = load_bench_file(name, ["train.seed=3", "limits.nudge=150 mV"])
    copy = tmp_path / f"{name}.toml"
    copy.write_text(file.text(), encoding="utf-8")
    back = load_bench_file(copy)
    for table in ("network", "limits", "data", "train"):
        assert getattr(back, table) == getattr(file, table)
    assert back.backend.model_dump() == file.backend.model_dump()
    assert back.name == file.name
    one, two = open_bench(name, ["limits.nudge=150 mV"]), open_bench(copy)
    assert one.topology == two.topology
    assert one.limits == two.limits
    assert (one.data.inputs == two.data.inputs).all()
    assert (one.data.train == two.data.train).all()


def test_written_bench_contains_the_defaults(bench_path):
    # a later version may have other defaults, and the run must stay the same
    tables = tomllib.loads(load_bench_file(bench_path).text())
    assert tables["train"]["optimizer"] == "adam"
    assert tables["data"]["encoding"] == "plain"


def test_file_with_the_name_of_a_data_set_does_not_replace_it(bench_path, tmp_path):
    (tmp_path / "teacher").write_text("not this")
    assert tomllib.loads(load_bench_file(bench_path).text())["data"]["source"] == "teacher"


def test_override_of_a_key_that_is_no_table_is_refused(write):
    with pytest.raises(SetupError, match="network must be a table"):
        load_bench_file(write("network = 3"), ["network.rows=3"])


def test_relative_paths_start_from_the_folder_of_the_bench_file(write, bench_path, tmp_path, monkeypatch):
    write("0.1,0.2,0.3,0.1,0.15,0.1,0.2\n" * 3, "rows.csv")
    changes = ["data.source=rows.csv", "data.target_columns=[4, 5, 6]"]
    elsewhere = tmp_path / "deep" / "er"
    elsewhere.mkdir(parents=True)
    (elsewhere / "copy.toml").write_text(load_bench_file(bench_path, changes).text(), encoding="utf-8")
    monkeypatch.chdir(elsewhere)
    assert open_bench("copy.toml").data.inputs.shape == (3, 4)
    assert open_bench("../../small.toml", changes).data.inputs.shape == (3, 4)


NETWORKS = {
    "crossbar": "kind = 'crossbar'\nrows = 4\ncolumns = 5\noutputs = [0, 1, 2]",
    "grounded crossbar": "kind = 'crossbar'\nrows = 5\ncolumns = 5\noutputs = [0, 1, 2]\nground = 4",
    "grid": "kind = 'grid'\nrows = 4\ncolumns = 3\noutputs = [2, 5, 8]",
    "layered": "kind = 'layered'\nsizes = [4, 6, 3]",
    "random": "kind = 'random'\nnodes = 14\nedges = 30\ninputs = [0, 3, 5, 7]\noutputs = 3\nground = 1\nseed = 2",
    "edges": "kind = 'edges'\nnodes = 8\nedges = [[0,4],[1,4],[2,5],[3,5],[4,6],[5,6],[4,7],[5,7]]\n"
    "inputs = [0, 1, 2, 3]\noutputs = [5, 6, 7]\nnames = ['a','b','c','d','e','f','g','h']",
    "groups": "kind = 'groups'\ngroups = { pixel = 4, hidden = 2, line = 3 }\n"
    "inputs = ['pixel']\noutputs = ['line']\n"
    "connections = [{ from = 'pixel', to = 'hidden', image = [2, 2], window = [1, 2] },\n"
    "    { from = 'pixel', to = 'line', nodes = [1, 2] }, { from = 'hidden', to = 'line' }]",
    "spice": "kind = 'spice'\nfile = 'net.cir'\noutputs = ['x', 'y', 'z']",
}


@pytest.mark.parametrize("table", NETWORKS.values(), ids=NETWORKS)
def test_bench_with_every_kind_of_network_trains(write, bench_path, table):
    write(
        "* four sources, three outputs\n"
        + "".join(f"V{k} in{k} 0 1\nR{k} in{k} x 1k\nRa{k} in{k} y 2k\nRb{k} in{k} z 3k\n" for k in range(4))
        + "Rxy x y 1k\n.end\n",
        "net.cir",
    )
    text = re.sub(r"\[network\].*?(?=\n\[)", f"[network]\n{table}\n", bench_path.read_text(), flags=re.DOTALL)
    with open_bench(write(text, "other.toml")) as bench:
        assert (bench.topology.n_inputs, bench.topology.n_outputs) == (4, 3)
        assert bench.network.topology == bench.topology
        assert bench.train().stopped == "finished"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
@pytest.mark.parametrize("name", ["new\nline.toml", "esc\x1b[2J.toml", "tab\t.toml", "line\u2028.toml"])
def test_bench_file_with_control_character_in_its_name_is_refused(write, name):
    with pytest.raises(SetupError, match="has a control character; rename the file") as refused:
        load_bench_file(write(name=name))
    assert str(refused.value).isprintable()


def test_bench_file_with_letters_of_any_language_in_its_name_is_read(write):
    assert load_bench_file(write(name="Prüfstand 試験 1.toml")).name == "Prüfstand 試験 1"


def test_override_with_none_takes_a_key_out_of_the_file():
    iris = load_bench_file("iris")
    assert iris.tables["backend"]["conductance_bits"] == 10
    without = load_bench_file("iris", {"backend.conductance_bits": None})
    assert "conductance_bits" not in without.tables["backend"]
    assert without.tables["data"] == iris.tables["data"]
    assert "conductance_bits" not in iris.with_({"backend.conductance_bits": None}).tables["backend"]
    assert iris.with_({"train.order": None}).tables == iris.tables, "a key that the file may have"


@pytest.mark.parametrize(
    ("key", "meant"),
    [("backend.conductance_bit", "conductance_bits"), ("train.epoch", "epochs"), ("network.x", "")],
)
def test_override_with_none_of_a_wrong_key_is_refused(key, meant):
    with pytest.raises(SetupError, match=rf"{key} cannot be taken out, it is not in the file.*{meant}"):
        load_bench_file("iris", {key: None})


def test_overrides_may_be_numbers_of_numpy():
    given = {"train.epochs": np.int64(3), "train.rate": np.float32(0.25), "train.symmetric": np.bool_(False)}
    train = load_bench_file("iris", given).tables["train"]
    assert (train["epochs"], train["rate"], train["symmetric"]) == (3, 0.25, False)
    assert [type(train[key]) for key in ("epochs", "rate", "symmetric")] == [int, float, bool]
