"""Trains the deep resistive network of a checkout of energy-based-learning; needs torch and NumPy, not hwlearn.

`energy_based_learning.py` runs it in a virtual environment of its own. The classes of the checkout do the work, as
in its ``papers/fast-drn/drn.py``: equilibrium propagation, by gradient descent or Adam. The checkout has one cost,
squared error. `cross_entropy` adds another, which nudges the outputs by a constant current.
"""

import json
import sys
import time

import numpy as np


def main() -> None:
    """Read the settings from the command line as JSON, train, and print CPU seconds and accuracy by epoch."""
    given = json.loads(sys.argv[1])
    sys.path.insert(0, given["checkout"])
    import torch
    from model.function.cost import SquaredError
    from model.function.network import Network
    from model.resistive.minimizer import QuadraticMinimizer
    from model.resistive.network import DeepResistiveEnergy
    from training.epoch import Trainer
    from training.sgd import AugmentedFunction, EquilibriumProp

    torch.set_num_threads(1)
    torch.manual_seed(given["seed"])
    data = np.load(given["data"])
    energy = DeepResistiveEnergy([(2, 8, 8), (given["hidden"],), (10,)], [1.0, 1.0], given["gain"])
    energy.set_device("cpu")
    output = energy.layers()[-1]
    cost = cross_entropy(given["temperature"])(output) if given["temperature"] else SquaredError(output)
    network = Network(energy)
    augmented = AugmentedFunction(energy, cost)
    nudged, free = (
        QuadraticMinimizer(function, network.free_layers(), given["iterations"], "asynchronous")
        for function in (augmented, energy)
    )
    estimator = EquilibriumProp(energy.params(), energy.layers(), augmented, cost, nudged)
    estimator.nudging, estimator.variant = given["nudging"], given["variant"]
    rates = [{"params": parameter.state, "lr": given["rate"]} for parameter in energy.params()]
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[given["optimizer"]](rates, lr=given["rate"])
    steps = given["epochs"]
    fall = {
        "exponential": lambda epoch: given["decay"] ** epoch,
        "cosine": lambda epoch: given["decay"] + (1 - given["decay"]) * (1 + np.cos(np.pi * epoch / steps)) / 2,
    }[given["schedule"]]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, fall)
    x, held_out = (torch.from_numpy(data[name]).float().reshape(-1, 1, 8, 8) for name in ("x_train", "x_test"))
    labels = [torch.from_numpy(data[name]).long() for name in ("y_train", "y_test")]
    images = x.clone()
    rows = torch.utils.data.TensorDataset(images, labels[0])
    loader = torch.utils.data.DataLoader(rows, batch_size=given["batch"], shuffle=True)
    trainer = Trainer(network, cost, energy.params(), loader, estimator, optimizer, free)
    seconds, epochs = 0.0, []
    for _ in range(steps):
        begin = time.process_time()
        if given["jitter"]:
            images.copy_((x + given["jitter"] * torch.randn_like(x)).clamp(0.0, 1.0))
        trainer.run()
        schedule.step()
        seconds += time.process_time() - begin
        network.set_input(held_out, reset=True)
        free.compute_equilibrium()
        right = output.state.argmax(1) == labels[1]
        epochs.append([seconds, float(right.float().mean())])
    print(json.dumps(epochs))


def cross_entropy(temperature: float) -> type:
    """Return a cost that nudges by the error ``(softmax(V/T) - onehot) / T`` of the free phase, held constant."""
    import torch
    from model.function.cost import SquaredError

    class CrossEntropy(SquaredError):
        """The free outputs are those at the time when the labels are set, as the checkout's trainer does."""

        def set_target(self, label: torch.Tensor) -> None:
            super().set_target(label)
            self._error = (torch.softmax(self._layer.state / temperature, dim=1) - self._target) / temperature

        def _grad_layer(self) -> torch.Tensor:
            return self._error

        def _a_coef(self) -> float:
            return 0.0

        def _b_coef(self) -> torch.Tensor:
            return self._error

    return CrossEntropy


if __name__ == "__main__":
    main()
