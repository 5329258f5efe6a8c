"""The training loss: named objectives, each with its weight."""

import flax.linen as nn

from mmjax.errors import UserError
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

OBJECTIVES = {
    "softmax": SoftmaxContrastive,
    "sigmoid": SigmoidContrastive,
    "supervised": SupervisedContrastive,
    "decoupled": DecoupledContrastive,
    "weighted": WeightedContrastive,
    "pairwise": Pairwise,
    "symile": Symile,
    "gram": Gram,
    "multiview": MultiView,
    "one_to_k": OneToK,
    "swav": SwAV,
    "protoclip": ProtoCLIP,
    "grouped_tokens": GroupedTokens,
    "geometry": Geometry,
    "hinge": HingeContrastive,
    "sdm": DistributionMatching,
    "input_label": InputLabel,
    "cross_views": CrossViews,
    "redundancy": RedundancyReduction,
    "prediction": Prediction,
    "swapped_matching": SwappedMatching,
    "sogclr": SogCLR,
    "isogclr": ISogCLR,
    "fastclip": FastCLIP,
    "relieved": RelievedContrastive,
    "triple": TripleContrastive,
    "off_diagonal": OffDiagonal,
    "distillation": Distillation,
    "pseudo_captions": PseudoCaptions,
    "captioning": Captioning,
    "masked_image": MaskedImage,
    "hard_negatives": HardNegatives,
    "long_text": LongText,
    "filip": Filip,
    "cico": Cico,
    "xpool": XPool,
    "glscl": GLSCL,
    "dreamlip": DreamLIP,
    "fdt": FDT,
    "hbi": HBI,
    "lexical": Lexical,
}


class WeightedObjectives(nn.Module):
    """The weighted sum of named objectives.

    Attributes:
        parts: (name, kind, options) of each objective, as config.objectives gives them.
    """

    parts: tuple

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and the metrics of every part, under "<part>/" where there are several."""
        total, metrics = 0.0, {}
        for name, kind, options in self.parts:
            part = OBJECTIVES[kind](**dict(options), name=name)
            try:
                loss, values = part(features, batch, train=train)
            except UserError:
                raise
            except ValueError as error:
                raise UserError(str(error), where=f"config.objectives.{name}") from error
            total += part.weight * loss
            prefix = f"{name}/" if len(self.parts) > 1 else ""
            metrics |= {prefix + k: v for k, v in values.items()}
        return total, metrics | {"loss": total}

    def part(self, name: str) -> nn.Module:
        """The objective of that name; UserError if there is none."""
        for own, kind, options in self.parts:
            if own == name:
                return OBJECTIVES[kind](**dict(options), parent=None)
        remedy = f"use one of {', '.join(own for own, *_ in self.parts)}"
        raise UserError(f"no objective {name!r}", where="config.objectives", remedy=remedy)

    def after_update(self, params):
        """Every part's own `after_update`, where it has one, applied to its parameters."""
        parts = {name: self.part(name) for name in params}
        return {n: parts[n].after_update(p) if hasattr(parts[n], "after_update") else p for n, p in params.items()}


def build_objective(config, examples: int) -> WeightedObjectives:
    """The training loss of `config.objectives`; parts with a field `examples` that is 0 are told their number."""
    from mmjax.config import options_of

    parts = []
    for name, entry in config.objectives.items():
        options = options_of(entry)
        if options.get("examples") == 0:
            options["examples"] = examples
        parts.append((name, entry.kind, tuple(options.items())))
    return WeightedObjectives(tuple(parts))
