"""Networks as estimators of scikit-learn, which is the referee: its own checks, pipelines and searches."""

from __future__ import annotations

import doctest
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing: pip install -e '.[sklearn]'")

from scipy import stats
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer
from sklearn.utils.estimator_checks import check_estimator

from hwlearn import estimators
from hwlearn.errors import LimitError, SetupError
from hwlearn.estimators import NetworkClassifier, NetworkRegressor

X, Y = load_iris(return_X_y=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
@pytest.mark.filterwarnings("ignore:.*Skipping check.*")
def test_checks_of_scikit_learn_pass(kind):
    found = check_estimator(kind(), on_fail=None)
    assert not [(one["check_name"], one["exception"]) for one in found if one["status"] == "failed"]
    assert sum(one["status"] == "passed" for one in found) >= 45


@pytest.mark.slow
def test_search_over_two_keys_on_the_twin():
    noisy = NetworkClassifier(changes={"backend.read_noise": "1 mV", "backend.device_spread": 0.2}, random_state=0)
    search = GridSearchCV(noisy, {"epochs": [2, 15], "rate": [0.002, 0.05]}, cv=3).fit(X[::2], Y[::2])
    assert search.best_params_ == {"epochs": 15, "rate": 0.05}
    assert search.score(X[1::2], Y[1::2]) > 0.9


@pytest.mark.parametrize(
    "found",
    [
        GridSearchCV(
            NetworkClassifier(random_state=0),
            {"epochs": np.arange(1, 3), "rate": np.logspace(-2, -1, 2), "batch": [np.int64(50), np.array(75)]},
            cv=2,
            error_score="raise",
        ),
        RandomizedSearchCV(
            NetworkRegressor(epochs=np.int64(2), random_state=np.int64(0)),
            {"epochs": stats.randint(1, 4), "rate": stats.loguniform(0.01, 0.1)},
            n_iter=2,
            cv=2,
            random_state=0,
            error_score="raise",
        ),
        GridSearchCV(
            NetworkClassifier("iris", epochs=1),
            {
                "changes": [
                    {"train.epochs": n, "train.rate": np.float64(0.05), "train.symmetric": np.bool_(True)}
                    for n in np.arange(1, 3)
                ]
            },
            cv=2,
            error_score="raise",
        ),
    ],
    ids=["grid", "distributions", "changes"],
)
def test_searches_over_numbers_of_numpy(found):
    found.fit(X[::3], Y[::3])
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


def test_pipeline_is_cross_validated():
    piped = make_pipeline(PowerTransformer(), NetworkClassifier(epochs=8, random_state=1))
    assert cross_val_score(piped, X, Y, cv=2).min() > 0.85


def test_shipped_bench_is_trained_with_its_own_settings():
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    found = NetworkClassifier("iris", epochs=10, random_state=2).fit(X, names)
    assert found.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert found.score(X, names) > 0.9
    assert found.values_.shape == (14 * 11,)
    assert "device_spread = 0.2" in found.bench_text_
    again = pickle.loads(pickle.dumps(found))
    assert np.mean(again.predict(X) == found.predict(X)) > 0.97  # the twin has read noise


OF_A_TABLE = {
    "columns": 'columns = ["a", "b"]\nheader = true\ndelimiter = ";"\ndecimal = ","\nlabel_column = "class"',
    "drop": 'drop = ["note"]\ntest_fraction = 0.5\nvalidation_fraction = 0.25\nlabel_column = "class"',
}


@pytest.mark.parametrize("keys", OF_A_TABLE.values(), ids=OF_A_TABLE)
def test_keys_of_the_table_of_a_bench_do_not_concern_other_data(keys, tmp_path):
    path = tmp_path / "table.toml"
    path.write_text(
        f"""
        [network]
        kind = "crossbar"
        rows = 10
        columns = 6
        [limits]
        voltage = 0.5
        drop = 1.0
        nudge = 0.2
        current = 0.01
        conductance = [1e-6, 1e-4]
        [backend]
        kind = "sim"
        [data]
        source = "missing.csv"
        encoding = "differential"
        amplitude = 0.4
        bias = 0.4
        output_pairs = "consecutive"
        {keys}
        [train]
        epochs = 2
        """
    )
    assert NetworkClassifier(path, random_state=0).fit(X, Y).predict(X).shape == Y.shape


def test_features_outside_the_training_range():
    held = NetworkClassifier(epochs=1, random_state=0).fit(X, Y)
    far = X[:1] + np.array([100.0, 0.0, 0.0, 0.0])
    at_end = X[:1].copy()
    at_end[0, 0] = X[:, 0].max()
    np.testing.assert_array_equal(held.decision_function(far), held.decision_function(at_end))
    with pytest.raises(SetupError, match=r"feature 0 of sample 0 is 105.1, outside .* 4.3 to 7.9"):
        held.set_params(outside="refuse").predict(far)


def test_limits_of_the_bench_hold():
    with pytest.raises(LimitError, match=r"exceeds limits\.voltage = 500 mV"):
        NetworkClassifier(changes={"data.amplitude": "600 mV"}).fit(X, Y)


def test_regressor_returns_the_unit_of_its_targets():
    x = np.linspace(-1, 1, 25)[:, None]
    found = NetworkRegressor(epochs=150, random_state=0).fit(x, 1000 - 300 * x[:, 0])
    assert np.abs(found.predict(x) - (1000 - 300 * x[:, 0])).max() < 20


def test_examples_of_the_docstrings():
    assert doctest.testmod(estimators).failed == 0


@pytest.mark.slow
def test_missing_library_is_named():
    code = "import sys; sys.modules['sklearn'] = None\nimport hwlearn.estimators"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "hwlearn.estimators needs scikit-learn, at least 1.6: pip install hwlearn[sklearn]" in done.stderr
