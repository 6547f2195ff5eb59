"""Learning: costs, rules that find gradients from measurements, optimizers, subsets and training."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.learning.costs import MSE as MSE
    from hwlearn.learning.costs import Cost as Cost
    from hwlearn.learning.costs import CrossEntropy as CrossEntropy
    from hwlearn.learning.costs import Hinge as Hinge
    from hwlearn.learning.differential import Differential as Differential
    from hwlearn.learning.optimizers import SGD as SGD
    from hwlearn.learning.optimizers import Adam as Adam
    from hwlearn.learning.optimizers import Momentum as Momentum
    from hwlearn.learning.optimizers import Optimizer as Optimizer
    from hwlearn.learning.optimizers import Sign as Sign
    from hwlearn.learning.output_pairs import OutputPairs as OutputPairs
    from hwlearn.learning.records import Callback as Callback
    from hwlearn.learning.records import Epoch as Epoch
    from hwlearn.learning.records import History as History
    from hwlearn.learning.records import Progress as Progress
    from hwlearn.learning.records import Schedule as Schedule
    from hwlearn.learning.records import Step as Step
    from hwlearn.learning.rules import GEP as GEP
    from hwlearn.learning.rules import SPSA as SPSA
    from hwlearn.learning.rules import Analytic as Analytic
    from hwlearn.learning.rules import CoupledLearning as CoupledLearning
    from hwlearn.learning.rules import EquilibriumPropagation as EquilibriumPropagation
    from hwlearn.learning.rules import Gradient as Gradient
    from hwlearn.learning.rules import Rule as Rule
    from hwlearn.learning.scoring import Score as Score
    from hwlearn.learning.scoring import score_outputs as score_outputs
    from hwlearn.learning.subsets import ListedEdges as ListedEdges
    from hwlearn.learning.subsets import MostSensitive as MostSensitive
    from hwlearn.learning.subsets import RandomEdges as RandomEdges
    from hwlearn.learning.subsets import Subset as Subset
    from hwlearn.learning.training import Trainer as Trainer
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
