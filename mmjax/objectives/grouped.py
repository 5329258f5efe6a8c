"""VALOR: one stream against several others, alone and together, token by token."""

import functools

import flax.linen as nn
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.losses.rows import Rows
from mmjax.losses.tokens import token_contrastive
from mmjax.losses.tokens_scores import WeightedMaxSimilarity
from mmjax.objectives.tokens import token_sides
from mmjax.objectives.wiring import Scaled


class GroupedTokens(Scaled):
    """The mean of token-wise contrasts of one stream with each group of the others (VALOR, Liu et al. 2023).

    Multimodal grouping alignment (arXiv 2304.08345): text with video, with audio and with both, whose tokens then stand
    side by side. The similarity is 1/2 (sum_k w_k max_r z_kr + sum_r w_r max_k z_kr); padding is left out of maxima
    and weights, not multiplied by zero. Scale and weights are shared by all groups.

    Attributes:
        streams: streams or heads with tokens, the first contrasted with groups of the others.
        weight: factor of this part in the training loss.
        groups: tuples of names; none: each other stream alone, and all together.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, ...]
    weight: float = 1.0
    groups: tuple = ()
    temperature: float = 0.07
    max_scale: float = 100.0
    impl: str = "auto"

    def score(self) -> WeightedMaxSimilarity:
        """The similarity of two sets of tokens."""
        return WeightedMaxSimilarity()

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features with tokens) on a batch."""
        scale, score = self.learned_scale(), self.score()
        sides = dict(zip(self.streams, token_sides(self.streams, features, batch), strict=True))
        anchor = sides[self.streams[0]]
        width = anchor.values["tokens"].shape[-1]
        params = self.param("score", lambda key: score.init(key, width))
        losses = {}
        for group in self.all_groups():
            together = functools.reduce(side_by_side, [sides[name] for name in group])
            options = {"score": score, "params": params, "impl": self.impl}
            losses["+".join(group)] = token_contrastive(anchor, together, scale, **options)
        loss = sum(losses.values()) / len(losses)
        return loss, {"contrastive_loss": loss, "logit_scale": scale} | {f"{k}_loss": v for k, v in losses.items()}

    def all_groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups; raises UserError for names that are no streams here."""
        others = self.streams[1:]
        if not others:
            raise UserError("one stream", where="objective grouped_tokens.streams", remedy="name two or more")
        groups = self.groups or tuple(dict.fromkeys([*((name,) for name in others), tuple(others)]))
        for group in groups:
            if isinstance(group, str) or not group or not set(group) <= set(others):
                remedy = f"name some of {', '.join(others)} in each group"
                raise UserError(f"{group!r} is no group", where="objective grouped_tokens.groups", remedy=remedy)
        return tuple(map(tuple, groups))


def side_by_side(x: Rows, y: Rows) -> Rows:
    """The tokens of both sides of one batch as those of one; a row is there that is there in both."""
    present = x.facts["present"] & y.facts["present"]
    mask = jnp.concatenate([x.facts["mask"], y.facts["mask"]], axis=1) & present[:, None]
    tokens = jnp.concatenate([x.values["tokens"], y.values["tokens"]], axis=1)
    return Rows({"tokens": tokens}, {**x.facts, "present": present, "mask": mask})
