"""Features in, loss out: losses wired to their learned parts and their state."""

from mmjax.objectives.contrastive import SigmoidContrastive, SoftmaxContrastive
from mmjax.objectives.weighted import OBJECTIVES, WeightedObjectives, build_objective

__all__ = ["OBJECTIVES", "SigmoidContrastive", "SoftmaxContrastive", "WeightedObjectives", "build_objective"]
