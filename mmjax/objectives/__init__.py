"""Features in, loss out: losses wired to their learned parts and their state."""

from mmjax.objectives.contrastive import (
    DecoupledContrastive,
    SigmoidContrastive,
    SoftmaxContrastive,
    SupervisedContrastive,
    WeightedContrastive,
)
from mmjax.objectives.multimodal import Gram, MultiView, Pairwise, Symile
from mmjax.objectives.weighted import OBJECTIVES, WeightedObjectives, build_objective

__all__ = [
    "OBJECTIVES",
    "DecoupledContrastive",
    "Gram",
    "MultiView",
    "Pairwise",
    "SigmoidContrastive",
    "SoftmaxContrastive",
    "SupervisedContrastive",
    "Symile",
    "WeightedContrastive",
    "WeightedObjectives",
    "build_objective",
]
