"""Trains the deep resistive network of a checkout of energy-based-learning; needs torch and NumPy, not hwlearn.

`energy_based_learning.py` runs it in a virtual environment of its own. The classes of the checkout do the work, as
in its ``papers/fast-drn/drn.py``: centred equilibrium propagation, squared error, plain gradient descent.
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
    cost, network = SquaredError(energy.layers()[-1]), Network(energy)
    augmented = AugmentedFunction(energy, cost)
    nudged, free = (
        QuadraticMinimizer(function, network.free_layers(), given["iterations"], "asynchronous")
        for function in (augmented, energy)
    )
    estimator = EquilibriumProp(energy.params(), energy.layers(), augmented, cost, nudged)
    estimator.nudging, estimator.variant = given["nudging"], "centered"
    rates = [{"params": parameter.state, "lr": given["rate"]} for parameter in energy.params()]
    optimizer = torch.optim.SGD(rates, lr=given["rate"])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=given["decay"])
    images = [torch.from_numpy(data[name]).float().reshape(-1, 1, 8, 8) for name in ("x_train", "x_test")]
    labels = [torch.from_numpy(data[name]).long() for name in ("y_train", "y_test")]
    rows = torch.utils.data.TensorDataset(images[0], labels[0])
    loader = torch.utils.data.DataLoader(rows, batch_size=given["batch"], shuffle=True)
    trainer = Trainer(network, cost, energy.params(), loader, estimator, optimizer, free)
    seconds, epochs = 0.0, []
    for _ in range(given["epochs"]):
        begin = time.process_time()
        trainer.run()
        schedule.step()
        seconds += time.process_time() - begin
        network.set_input(images[1], reset=True)
        free.compute_equilibrium()
        right = energy.layers()[-1].state.argmax(1) == labels[1]
        epochs.append([seconds, float(right.float().mean())])
    print(json.dumps(epochs))


if __name__ == "__main__":
    main()
