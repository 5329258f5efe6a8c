"""Contrastive losses: pure functions of the global batch, without parameters or state."""

from mmjax.losses.assignment import sinkhorn, swapped_prediction
from mmjax.losses.captions import caption_cross_entropy
from mmjax.losses.clusters import cluster_means, far_apart, kmeans, nearest
from mmjax.losses.components import principal_components
from mmjax.losses.crops import swapped_crops
from mmjax.losses.decoupled import decoupled_contrastive
from mmjax.losses.distribution import logit_distillation, similarity_distribution_matching
from mmjax.losses.geometry import alignment, cross_uniformity, uniformity
from mmjax.losses.global_contrastive import global_contrastive
from mmjax.losses.gram import gram_contrastive, gram_volume
from mmjax.losses.hinge import hinge_contrastive
from mmjax.losses.input_label import input_label_contrastive
from mmjax.losses.lexical import lexical_contrastive
from mmjax.losses.momentum import local_contrastive, momentum_contrastive
from mmjax.losses.multiview import mv_dhel, mv_infonce
from mmjax.losses.noisy_hinge import noisy_hinge
from mmjax.losses.off_diagonal import off_diagonal_distillation
from mmjax.losses.pairwise import pair_losses, pairwise
from mmjax.losses.prototypes import prototypical
from mmjax.losses.redundancy import barlow_twins, vicreg
from mmjax.losses.relieved import relieved_contrastive
from mmjax.losses.siamese import byol
from mmjax.losses.sigmoid import sigmoid_contrastive
from mmjax.losses.softmax import softmax_contrastive
from mmjax.losses.supervised import supervised_contrastive
from mmjax.losses.swapped_matching import swapped_matching
from mmjax.losses.symile import symile, symile_permutations
from mmjax.losses.tokens import token_contrastive, token_rows
from mmjax.losses.tokens_banzhaf import interaction_divergence
from mmjax.losses.tokens_levels import level_distillation
from mmjax.losses.tokens_queries import query_consistency, query_diversity
from mmjax.losses.weighted import weighted_contrastive

__all__ = [
    "alignment",
    "barlow_twins",
    "byol",
    "caption_cross_entropy",
    "cluster_means",
    "cross_uniformity",
    "decoupled_contrastive",
    "far_apart",
    "global_contrastive",
    "gram_contrastive",
    "gram_volume",
    "hinge_contrastive",
    "input_label_contrastive",
    "interaction_divergence",
    "kmeans",
    "level_distillation",
    "lexical_contrastive",
    "local_contrastive",
    "logit_distillation",
    "momentum_contrastive",
    "mv_dhel",
    "mv_infonce",
    "nearest",
    "noisy_hinge",
    "off_diagonal_distillation",
    "pair_losses",
    "pairwise",
    "principal_components",
    "prototypical",
    "query_consistency",
    "query_diversity",
    "relieved_contrastive",
    "sigmoid_contrastive",
    "similarity_distribution_matching",
    "sinkhorn",
    "softmax_contrastive",
    "supervised_contrastive",
    "swapped_crops",
    "swapped_matching",
    "swapped_prediction",
    "symile",
    "symile_permutations",
    "token_contrastive",
    "token_rows",
    "uniformity",
    "vicreg",
    "weighted_contrastive",
]
