"""Features in, loss out: losses wired to their learned parts and their state."""

from mmjax.objectives.captioning import Captioning
from mmjax.objectives.continual import OffDiagonal
from mmjax.objectives.contrastive import (
    DecoupledContrastive,
    SigmoidContrastive,
    SoftmaxContrastive,
    SupervisedContrastive,
    WeightedContrastive,
)
from mmjax.objectives.geometry import Geometry
from mmjax.objectives.grouped import GroupedTokens
from mmjax.objectives.hard_negatives import HardNegatives
from mmjax.objectives.identities import DistributionMatching, InputLabel
from mmjax.objectives.long_text import LongText
from mmjax.objectives.masked_image import MaskedImage
from mmjax.objectives.multimodal import Gram, MultiView, OneToK, Pairwise, Symile
from mmjax.objectives.protoclip import ProtoCLIP
from mmjax.objectives.pseudo_captions import PseudoCaptions
from mmjax.objectives.ranking import HingeContrastive
from mmjax.objectives.relieved import RelievedContrastive
from mmjax.objectives.running import FastCLIP, ISogCLR, SogCLR
from mmjax.objectives.swav import SwAV
from mmjax.objectives.triple import TripleContrastive
from mmjax.objectives.views import CrossViews, Prediction, RedundancyReduction, SwappedMatching
from mmjax.objectives.weighted import OBJECTIVES, WeightedObjectives, build_objective

__all__ = [
    "OBJECTIVES",
    "Captioning",
    "CrossViews",
    "DecoupledContrastive",
    "DistributionMatching",
    "FastCLIP",
    "Geometry",
    "Gram",
    "HardNegatives",
    "GroupedTokens",
    "HingeContrastive",
    "ISogCLR",
    "InputLabel",
    "LongText",
    "MaskedImage",
    "MultiView",
    "OneToK",
    "OffDiagonal",
    "Pairwise",
    "ProtoCLIP",
    "SwAV",
    "Prediction",
    "PseudoCaptions",
    "RedundancyReduction",
    "RelievedContrastive",
    "SigmoidContrastive",
    "SoftmaxContrastive",
    "SogCLR",
    "SupervisedContrastive",
    "SwappedMatching",
    "Symile",
    "TripleContrastive",
    "WeightedContrastive",
    "WeightedObjectives",
    "build_objective",
]
