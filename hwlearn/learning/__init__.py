"""Learning: costs, rules that find gradients from measurements, optimizers, subsets and training."""
