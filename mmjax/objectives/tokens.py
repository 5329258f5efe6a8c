"""Objectives that compare sets of tokens: late interaction, attention to one side's tokens, a shared codebook."""

import flax.linen as nn

from mmjax.errors import UserError
from mmjax.losses.tokens import prepared_contrastive, token_rows
from mmjax.losses.tokens_attention import AttentionPooled
from mmjax.losses.tokens_codebook import Codebook
from mmjax.losses.tokens_scores import MaxSimilarity, Score, SoftMaxSimilarity
from mmjax.objectives.wiring import Scaled, vectors_of


class TokenObjective(Scaled):
    """InfoNCE whose similarity is a score of two sets of tokens. Kinds say which by `score()`.

    Evaluations of kind token_retrieval rank by the same score, with what it has learned here.

    Attributes:
        streams: the two sides, such as heads of kind tokens.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        label_smoothing: share of every target that is spread over all candidates.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image_tokens", "text_tokens")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    label_smoothing: float = 0.0
    impl: str = "auto"

    def score(self) -> Score:
        """The similarity of two sets of tokens."""
        raise NotImplementedError

    def further(self, x, y) -> tuple:
        """A loss () beside the contrast, of prepared rows, and its metrics."""
        return 0.0, {}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features with tokens) on a batch."""
        scale, score = self.learned_scale(), self.score()
        x, y = token_sides(self.streams, features, batch)
        width = x.values["tokens"].shape[-1]
        params = self.param("score", lambda key: score.init(key, width)) if score.learns else {}
        x, y = score.prepare(x, params, first=True), score.prepare(y, params, first=False)
        options = {"label_smoothing": self.label_smoothing, "impl": self.impl}
        loss = prepared_contrastive(x, y, scale, score=score, params=params, **options)
        further, metrics = self.further(x, y)
        return loss + further, {"contrastive_loss": loss, "logit_scale": scale} | metrics


def token_sides(streams, features, batch):
    """`token_rows` of both streams.

    Raises:
        UserError: a stream has no tokens, or the two differ in width.
    """
    vectors, present = vectors_of(streams, features, batch)
    for stream in streams:
        if features[stream].tokens is None:
            remedy = "name a head of kind tokens on a tower such as vit, text or series"
            raise UserError(f"{stream!r} has no tokens", where="an objective on tokens", remedy=remedy)
    sides = zip((features[s] for s in streams), vectors, present, strict=True)
    return [token_rows(f.tokens, f.mask, vector=v, present=p) for f, v, p in sides]


class Filip(TokenObjective):
    """Each token finds its best counterpart (FILIP, Yao et al. 2022, arXiv 2111.07783)."""

    def score(self):
        """Mean over tokens of the greatest product."""
        return MaxSimilarity()


class Cico(TokenObjective):
    """Late interaction with a soft maximum (CiCo, Cheng et al. 2023, arXiv 2303.12793).

    Attributes:
        softness: temperature of the soft maximum.
    """

    softness: float = 0.07

    def score(self):
        """Mean over tokens of the soft maximum of products."""
        return SoftMaxSimilarity(self.softness)


class XPool(TokenObjective):
    """One side's tokens, pooled anew for every vector of the other (X-Pool, Gorti et al. 2022, arXiv 2203.15086).

    Attributes:
        streams: the stream with tokens, such as frames, and the stream that they are pooled for, such as captions.
    """

    streams: tuple[str, str] = ("video_tokens", "text_tokens")

    def score(self):
        """Cosine with what attention pools."""
        return AttentionPooled()


class FDT(TokenObjective):
    """Both sides as sparse mixtures of one codebook (FDT, Chen et al. 2023, arXiv 2303.14865).

    Attributes:
        codes: rows of the codebook.
        softness: temperature of the assignment to codes, the paper's T.
        assign: sparsemax, or softmax, where every code has a share in everything.
    """

    codes: int = 16384
    softness: float = 1.0
    assign: str = "sparsemax"

    def score(self):
        """Cosine of two mixtures."""
        return Codebook(self.codes, self.softness, self.assign)
