"""HBI: token-wise contrast at several levels of merged tokens, guided by the interaction of token pairs."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.layers import Dense
from mmjax.encoders.norms import unit_norm
from mmjax.errors import UserError
from mmjax.losses.rows import Rows
from mmjax.losses.tokens import prepared_contrastive
from mmjax.losses.tokens_banzhaf import (
    banzhaf_interactions,
    every_coalition,
    interaction_divergence,
    random_coalitions,
)
from mmjax.losses.tokens_levels import level_distillation
from mmjax.losses.tokens_merge import merge_tokens
from mmjax.losses.tokens_scores import WeightedMaxSimilarity
from mmjax.objectives.tokens import token_sides
from mmjax.objectives.wiring import Scaled

# More players than this have too many coalitions to list.
MOST_PLAYERS = 12


class InteractionNet(nn.Module):
    """Products of a pair's tokens -> their interactions, by two convolutions with attention between all places.

    Attributes:
        width: channels.
    """

    width: int

    @nn.compact
    def __call__(self, z):
        """(B, T, V) -> (B, T, V)."""
        x = nn.relu(nn.Conv(self.width, (3, 3), name="conv_in")(z[..., None]))
        places = x.reshape(len(x), -1, self.width)
        q, k, v = (Dense(self.width, use_bias=False, name=name)(places) for name in ("query", "key", "value"))
        weights = jax.nn.softmax(jnp.einsum("bqd,bkd->bqk", q, k), axis=-1)
        x = x + jnp.einsum("bqk,bkd->bqd", weights, v).reshape(x.shape)
        return nn.Conv(1, (3, 3), name="conv_out")(x)[..., 0]


class HBI(Scaled):
    """Token-wise contrast at levels of ever fewer tokens (HBI, Jin et al. 2023, arXiv 2303.14369).

    L = sum_l [InfoNCE_l + interaction KL(true, predicted)_l] + distillation sum_{l > 0} CE(level 0, level l), with the
    Banzhaf interactions of the tokens of matching pairs.

    Level 0 is all tokens; evaluations of kind token_retrieval rank by it.

    Attributes:
        streams: the two sides, such as heads of kind tokens.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale, of all levels.
        max_scale: the learned scale stays between 1 and this.
        levels: (tokens of the first stream, tokens of the second) at each further level, each at most that before.
        interaction: weight of the divergence of predicted from true interactions; 0 leaves both out.
        coalitions: drawn at each step for the true ones; 0: all, of at most 12 tokens together.
        width: channels of the network that predicts interactions.
        distillation: weight of the first level's softmaxes as targets of the others.
        impl: form of the losses: dense, blockwise, ring or auto.
    """

    streams: tuple[str, str] = ("video_tokens", "text_tokens")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    levels: tuple = ((6, 16), (3, 4))
    interaction: float = 1.0
    coalitions: int = 64
    width: int = 64
    distillation: float = 1.0
    impl: str = "auto"

    def score(self):
        """The weighted greatest products of one level."""
        return WeightedMaxSimilarity()

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features with tokens) on a batch.

        Coalitions come from the rng "objective", which the training step draws from (seed, step).
        """
        scale, score = self.learned_scale(), self.score()
        sides = token_sides(self.streams, features, batch)
        metrics, loss, first = {"logit_scale": scale}, 0.0, None
        for number in range(len(self.levels) + 1):
            if number:
                sides = [self._merged(s, n, f"merge_{number}_{k}") for s, n, k in self._sizes(number, sides)]
            width = sides[0].values["tokens"].shape[-1]
            name = f"score_{number}" if number else "score"
            params = self.param(name, lambda key, width=width: score.init(key, width))
            x, y = (score.prepare(side, params, first=k == 0) for k, side in enumerate(sides))
            contrast = prepared_contrastive(x, y, scale, score=score, params=params, impl=self.impl)
            loss, metrics = loss + contrast, metrics | {f"contrastive_loss_{number}": contrast}
            if self.interaction:
                divergence = self._interaction(number, x, y)
                loss, metrics = loss + self.interaction * divergence, metrics | {f"interaction_{number}": divergence}
            if number and self.distillation:
                options = {"score": score, "params": params, "teacher": first[2], "impl": self.impl}
                distilled = level_distillation(x, y, *first[:2], scale, **options)
                loss, metrics = loss + self.distillation * distilled, metrics | {f"distillation_{number}": distilled}
            first = first or (x, y, params)
        return loss, metrics

    def _sizes(self, number: int, sides):
        """(side, tokens that are left of it, its letter) at a level."""
        left, had = self.levels[number - 1], [s.values["tokens"].shape[1] for s in sides]
        if len(left) != 2 or any(not 1 <= n <= m for n, m in zip(left, had, strict=True)):
            remedy = "give at each level at most as many as at the one before"
            raise UserError(f"level {left!r} after {tuple(had)} tokens", where="objective hbi.levels", remedy=remedy)
        return zip(sides, left, "xy", strict=True)

    def _merged(self, side: Rows, count: int, name: str) -> Rows:
        """A side of `count` merged tokens of unit norm."""
        tokens, mask = side.values["tokens"], side.facts["mask"]
        scores = Dense(1, name=name)(tokens.astype(jnp.float32))[..., 0]
        tokens, mask = merge_tokens(tokens, mask, scores, count)
        return Rows(side.values | {"tokens": unit_norm(tokens)}, side.facts | {"mask": mask})

    def _interaction(self, number: int, x: Rows, y: Rows):
        """() how far the predicted interactions within pairs are from the true ones."""
        a, b = x.values["tokens"], y.values["tokens"]
        z = jnp.einsum("btd,bvd->btv", a.astype(jnp.float32), b.astype(jnp.float32), precision="highest")
        both = (x.facts["present"] & y.facts["present"])[:, None]
        masks = x.facts["mask"] & both, y.facts["mask"] & both
        logits = [jnp.log(side.values["weights"] + 1e-9) for side in (x, y)]
        fixed = jax.lax.stop_gradient((z, *logits))
        true = banzhaf_interactions(*fixed, *masks, self._coalitions(a.shape[1] + b.shape[1]))
        return interaction_divergence(InteractionNet(self.width, name=f"predictor_{number}")(z), true, *masks)

    def _coalitions(self, players: int):
        if self.coalitions:
            return random_coalitions(self.make_rng("objective"), self.coalitions, players)
        if players > MOST_PLAYERS:
            remedy = f"give a number of coalitions to draw, or at most {MOST_PLAYERS} tokens"
            raise UserError(
                f"{players} tokens have 2^{players} coalitions", where="objective hbi.coalitions", remedy=remedy
            )
        return every_coalition(players)
