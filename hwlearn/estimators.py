"""Estimators of scikit-learn that train a network: for pipelines, cross-validation and parameter searches.

They need scikit-learn: ``pip install hwlearn[sklearn]``. Each estimator writes the data it is given into a bench,
so that everything a bench file can state holds here too: limits, encoding, rule, backend.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.errors import SetupError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench_file.file import load_bench_file, parse_bench_file
from hwlearn.lab.data.loading import encode
from hwlearn.storage.toml_text import plain_value, toml_text

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "hwlearn.estimators needs scikit-learn, at least 1.6: pip install hwlearn[sklearn]"
    ) from error

__all__ = ["NetworkClassifier", "NetworkRegressor"]

LIMITS: Final = {"voltage": 0.5, "drop": 1.0, "nudge": 0.2, "current": 1e-2, "conductance": [1e-6, 1e-4]}
ENCODING: Final = {"encoding": "differential", "amplitude": 0.4, "bias": 0.4, "output_pairs": "consecutive"}
OF_ITS_DATA: Final = (
    "source", "header", "delimiter", "decimal", "columns", "drop", "label_column", "target_columns",
    "test_fraction", "validation_fraction",
)  # fmt: skip
"""Keys of ``[data]`` that describe the data of a bench file, which the data given to `fit` replace."""
TARGET_V: Final = 0.04
"""The range of a regressor's targets becomes minus to plus this difference of outputs."""


class _NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share: making the bench, training it, measuring it."""

    _train: ClassVar[Mapping[str, Any]]

    def __init__(
        self,
        bench: str | Path | None = None,
        *,
        epochs: int | None = None,
        rate: float | None = None,
        batch: int | None = None,
        changes: Mapping[str, Any] | None = None,
        outside: Literal["end", "refuse"] = "end",
        random_state: Any = None,
    ) -> None:
        self.bench = bench
        self.epochs = epochs
        self.rate = rate
        self.batch = batch
        self.changes = changes
        self.outside = outside
        self.random_state = random_state

    def _fit(self, X: FloatArray, stored: Mapping[str, Any], outputs: int, data: Mapping[str, Any]) -> Self:
        if self.outside not in ("end", "refuse"):
            raise SetupError(f"outside must be 'end' or 'refuse', got {self.outside!r}")
        seed = int(check_random_state(self.random_state).randint(1 << 31))
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "samples.npz", inputs=X, **stored)
            bench = self._made_bench(X, outputs, seed, data, Path(folder))
            with bench:
                self.history_ = bench.train()
            self.bench_text_: str = bench.text()
        self.ranges_: list[list[float]] = self._ends(X)
        self.values_: FloatArray = self.history_.values
        self._bench = bench
        return self

    def _made_bench(self, X: FloatArray, outputs: int, seed: int, data: Mapping[str, Any], folder: Path) -> Bench:
        """Return a bench with this data; its file is in ``folder``."""
        inputs = 2 * X.shape[1] + 2
        if self.bench is None:
            tables: dict[str, Any] = {
                "network": {"kind": "crossbar", "rows": inputs, "columns": 2 * outputs},
                "limits": dict(LIMITS),
                "backend": {"kind": "sim", "seed": seed},
                "data": dict(ENCODING) | dict(data),
                "train": dict(self._train),
            }
            name, where = type(self).__name__, folder
        else:
            file = load_bench_file(self.bench)
            name, where = file.name, file.folder
            tables = {table: dict(keys) for table, keys in file.tables.items()}
            for key in OF_ITS_DATA:
                tables["data"].pop(key, None)
        tables["data"] |= {"source": str(folder / "samples.npz"), "ranges": self._ends(X)}
        tables.setdefault("train", {})["seed"] = seed
        for key in ("epochs", "rate", "batch"):
            if getattr(self, key) is not None:
                tables["train"][key] = getattr(self, key)
        changes = {key: plain_value(value) for key, value in (self.changes or {}).items()}
        return Bench(parse_bench_file(toml_text(tables), name, where).with_(changes))

    def _ends(self, X: FloatArray) -> list[list[float]]:
        """Return the range of each feature; a constant feature is the middle of its range."""
        low, high = X.min(axis=0), X.max(axis=0)
        half = np.where(high == low, np.where(low == 0, 1.0, np.abs(low)), 0.0)
        return [[float(a), float(b)] for a, b in zip(low - half, high + half, strict=True)]

    def _scores(self, X: ArrayLike) -> FloatArray:
        """Measure the outputs, or their differences, (S, P) in volts."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        low, high = np.array(self.ranges_).T
        beyond = (values < low) | (values > high)
        if self.outside == "refuse" and beyond.any():
            s, f = np.argwhere(beyond)[0]
            raise SetupError(
                f"feature {f} of sample {s} is {values[s, f]:g}, outside the range of the training data, "
                f"{low[f]:g} to {high[f]:g}; use outside='end' to apply the end of the range"
            )
        bench = self._bench
        inputs = encode(np.clip(values, low, high), bench.file.data, self.ranges_)
        with bench:
            bench.network.program(self.values_)
            outputs = bench.network.measure(inputs).voltages
        pairs = bench.data.pairs
        return outputs if pairs is None else pairs.differences(outputs)


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):  # type: ignore[misc]
    """A network of conductances that classifies; an estimator of scikit-learn.

    Parameters
    ----------
    bench : str or Path, optional
        A bench file, or the name of a shipped bench: its network, limits, backend, encoding and training are used,
        with the data given to `fit`. Unless given, a simulated crossbar with two columns for each class.
    epochs, rate, batch : optional
        Instead of the keys of ``[train]``.
    changes : mapping, optional
        More keys of the bench file, such as ``{"backend.read_noise": "1 mV"}``. Here and above, numbers of NumPy
        count as Python's own.
    outside : "end" or "refuse"
        A feature outside the range of the training data is applied as the end of the range, or refused.
    random_state : int, RandomState or None
        Seed of the simulated devices (without ``bench``) and of the sample order.

    Attributes
    ----------
    classes_ : ndarray
    values_ : ndarray, shape (E,)
        Trained values of the edges: siemens, or volts for the gates of transistors.
    history_ : History
    bench_text_ : str
        The bench file that was trained, as TOML.
    n_features_in_ : int

    Raises
    ------
    HwlearnError
        From `fit` and `predict`, as training and measuring a `Bench` do.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0], [0.1, 0.8], [0.9, 0.1], [1.0, 0.0]])
    >>> NetworkClassifier(epochs=20, random_state=0).fit(X, ["a", "a", "b", "b"]).predict(X).tolist()
    ['a', 'a', 'b', 'b']
    """

    _train: ClassVar[Mapping[str, Any]] = {
        "cost": "cross-entropy",
        "temperature": 0.01,
        "rate": 0.05,
        "epochs": 60,
        "batch": 32,
        "initial": "random",
    }

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on features X (S, F) and class labels y (S,)."""
        values, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise SetupError("NetworkClassifier needs samples of at least 2 classes; the data has 1 class")
        # as text of equal length, so that their order is that of classes_
        digits = len(str(len(self.classes_)))
        names = np.array([f"{label:0{digits}d}" for label in labels])
        return self._fit(values, {"labels": names}, len(self.classes_), {})

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Return the scores (S, classes) in volts; with two classes the second minus the first, (S,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores[:, : len(self.classes_)]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Measure the samples X (S, F) and return their classes (S,)."""
        scores = self.decision_function(X)
        return np.asarray(self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)])


class NetworkRegressor(RegressorMixin, _NetworkEstimator):  # type: ignore[misc]
    """A network of conductances that learns one number; an estimator of scikit-learn.

    Parameters and attributes are those of `NetworkClassifier`, without classes. Unless a bench is given, the range
    of the training targets becomes -40 to 40 mV between two outputs.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(0, 1, 9)[:, None]
    >>> float(NetworkRegressor(epochs=200, random_state=0).fit(X, 3 * X[:, 0] + 1).predict([[0.5]])[0].round(1))
    2.5
    """

    _train: ClassVar[Mapping[str, Any]] = {
        "cost": "mse",
        "rate": 0.05,
        "epochs": 200,
        "batch": 32,
        "initial": "random",
    }

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on features X (S, F) and numbers y (S,)."""
        values, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        low, high = float(y.min()), float(y.max())
        if low == high:
            low, high = low - 1.0, high + 1.0
        scaling = {"target_scaling": {"volts": [-TARGET_V, TARGET_V], "range": [low, high]}}
        return self._fit(values, {"targets": y[:, None]}, 1, scaling)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Measure the samples X (S, F) and return their numbers (S,)."""
        volts = self._scores(X)[:, 0]
        scale = self._bench.data.scale
        return volts if scale is None else scale.numbers(volts)
