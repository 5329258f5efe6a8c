"""Contrastive losses: pure functions of the global batch, without parameters or state."""

from mmjax.losses.assignment import sinkhorn, swapped_prediction
from mmjax.losses.decoupled import decoupled_contrastive
from mmjax.losses.distribution import logit_distillation, similarity_distribution_matching
from mmjax.losses.geometry import alignment, cross_uniformity, uniformity
from mmjax.losses.gram import gram_contrastive, gram_volume
from mmjax.losses.hinge import hinge_contrastive
from mmjax.losses.multiview import mv_dhel, mv_infonce
from mmjax.losses.pairwise import pair_losses, pairwise
from mmjax.losses.redundancy import barlow_twins, vicreg
from mmjax.losses.siamese import byol, simsiam
from mmjax.losses.sigmoid import sigmoid_contrastive
from mmjax.losses.softmax import softmax_contrastive
from mmjax.losses.supervised import supervised_contrastive
from mmjax.losses.symile import symile, symile_permutations
from mmjax.losses.weighted import weighted_contrastive

__all__ = [
    "alignment",
    "barlow_twins",
    "byol",
    "cross_uniformity",
    "decoupled_contrastive",
    "gram_contrastive",
    "gram_volume",
    "hinge_contrastive",
    "logit_distillation",
    "mv_dhel",
    "mv_infonce",
    "pair_losses",
    "pairwise",
    "sigmoid_contrastive",
    "similarity_distribution_matching",
    "simsiam",
    "sinkhorn",
    "softmax_contrastive",
    "supervised_contrastive",
    "swapped_prediction",
    "symile",
    "symile_permutations",
    "uniformity",
    "vicreg",
    "weighted_contrastive",
]
