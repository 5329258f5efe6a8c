"""Contrastive losses: pure functions of the global batch, without parameters or state."""

from mmjax.losses.sigmoid import sigmoid_contrastive
from mmjax.losses.softmax import softmax_contrastive

__all__ = ["sigmoid_contrastive", "softmax_contrastive"]
