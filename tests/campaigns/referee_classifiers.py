"""Software classifiers of scikit-learn on given splits; `transistor_tasks.py` runs it in an environment of its
own.

Reads JSON from standard input: ``source`` (a .npz file with ``x`` and ``y``), ``splits`` (a list of ``train``,
``test`` and ``validation``, row numbers; the validation rows are some of the training rows). Prints JSON:
accuracy on the test rows by classifier and split, and the published split. The strength C of logistic
regression and of the RBF machine, and the weight decay of the perceptron, are those with the best accuracy on
the validation rows after training on the other training rows; then all training rows are used.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

MAKERS: dict[str, tuple[Callable[[float], Any], tuple[float, ...]]] = {
    "logistic regression": (lambda c: LogisticRegression(C=c, max_iter=5000), (0.1, 0.3, 1.0, 3.0, 10.0)),
    "RBF support vectors": (lambda c: SVC(C=c), (1.0, 3.0, 10.0, 30.0)),
    "32-unit perceptron": (lambda a: MLPClassifier((32,), alpha=a, max_iter=400, random_state=0), (1e-3, 1e-1)),
}


def main() -> None:
    """Train all classifiers on all splits."""
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    with np.load(asked["source"]) as stored:
        x, y = stored["x"], stored["y"]
    found: dict[str, list[float]] = {name: [] for name in MAKERS}
    for one in asked["splits"]:
        train, test, held = (np.array(one[name]) for name in ("train", "test", "validation"))
        rest = np.setdiff1d(train, held)
        for name, (make, strengths) in MAKERS.items():
            best = max(strengths, key=lambda s: make(s).fit(x[rest], y[rest]).score(x[held], y[held]))
            found[name].append(float(make(best).fit(x[train], y[train]).score(x[test], y[test])))
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=0.2, random_state=0, stratify=y)
    print(json.dumps({"accuracy": found, "published": {"train": train.tolist(), "test": test.tolist()}}))


if __name__ == "__main__":
    main()
