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
from mmjax.objectives.distillation import Distillation
from mmjax.objectives.geometry import Geometry
from mmjax.objectives.grouped import GroupedTokens
from mmjax.objectives.hard_negatives import HardNegatives
from mmjax.objectives.identities import DistributionMatching, InputLabel
from mmjax.objectives.lexical import Lexical
from mmjax.objectives.long_text import LongText
from mmjax.objectives.masked_image import MaskedImage
from mmjax.objectives.multimodal import Gram, MultiView, OneToK, Pairwise, Symile
from mmjax.objectives.protoclip import ProtoCLIP
from mmjax.objectives.pseudo_captions import PseudoCaptions
from mmjax.objectives.ranking import HingeContrastive
from mmjax.objectives.relieved import RelievedContrastive
from mmjax.objectives.running import FastCLIP, ISogCLR, SogCLR
from mmjax.objectives.swav import SwAV
from mmjax.objectives.tokens import FDT, Cico, Filip, XPool
from mmjax.objectives.tokens_groups import DreamLIP
from mmjax.objectives.tokens_levels import HBI
from mmjax.objectives.tokens_queries import GLSCL
from mmjax.objectives.triple import TripleContrastive
from mmjax.objectives.views import CrossViews, Prediction, RedundancyReduction, SwappedMatching
from mmjax.objectives.weighted import OBJECTIVES, WeightedObjectives, build_objective

__all__ = [
    "Captioning",
    "Cico",
    "CrossViews",
    "DecoupledContrastive",
    "Distillation",
    "DistributionMatching",
    "DreamLIP",
    "FDT",
    "FastCLIP",
    "Filip",
    "GLSCL",
    "Geometry",
    "Gram",
    "GroupedTokens",
    "HBI",
    "HardNegatives",
    "HingeContrastive",
    "ISogCLR",
    "InputLabel",
    "Lexical",
    "LongText",
    "MaskedImage",
    "MultiView",
    "OBJECTIVES",
    "OffDiagonal",
    "OneToK",
    "Pairwise",
    "Prediction",
    "ProtoCLIP",
    "PseudoCaptions",
    "RedundancyReduction",
    "RelievedContrastive",
    "SigmoidContrastive",
    "SoftmaxContrastive",
    "SogCLR",
    "SupervisedContrastive",
    "SwAV",
    "SwappedMatching",
    "Symile",
    "TripleContrastive",
    "WeightedContrastive",
    "WeightedObjectives",
    "XPool",
    "build_objective",
]
