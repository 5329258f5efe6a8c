"""Contrast of sets of tokens: InfoNCE whose similarities are made of all tokens of both samples."""

import functools
import math

import jax.numpy as jnp

from mmjax.losses import tiles
from mmjax.losses.checks import check_finite, check_ids, check_present, check_scale, check_share
from mmjax.losses.cross_entropy import mean_cross_entropy
from mmjax.losses.lean import choose_impl
from mmjax.losses.lean_softmax import Terms, lean_softmax
from mmjax.losses.masked import all_present, only_present
from mmjax.losses.rows import Rows, both_present, same_key

# Most numbers that a tile's pairs are made of: 16 MiB of float32, of which a tile's gradient holds a few copies.
TILE_NUMBERS = 2**22


def token_rows(tokens, mask=None, *, vector=None, present=None, ids=None) -> Rows:
    """One side of `token_contrastive`, absent rows zero.

    Args:
        tokens: (B, T, D) floating, of unit norm where a score compares tokens.
        mask: (B, T) bool, True for real tokens; None: all are.
        vector: (B, D) one for each row, where a score reads it; or None.
        present: (B,) bool, or None.
        ids: (B,) int, equal for positives; None: row i with row i.

    Raises:
        ValueError: naming the array that does not fit.
    """
    if tokens.ndim != 3 or not jnp.issubdtype(tokens.dtype, jnp.floating):
        raise ValueError(f"tokens are {tokens.dtype} {tokens.shape}: give floating (batch, tokens, width)")
    rows, count, _ = tokens.shape
    if mask is not None and (mask.shape != (rows, count) or mask.dtype != jnp.bool_):
        raise ValueError(f"mask is {mask.dtype} {mask.shape}: give bool ({rows}, {count}), one for each token")
    check_present("present", present, rows)
    check_ids(ids, rows)
    # What padding holds may be anything: it must not reach a product.
    tokens = tokens if mask is None else jnp.where(mask[:, :, None], tokens, jnp.zeros((), tokens.dtype))
    values = {"tokens": tokens} | ({} if vector is None else {"vector": vector})
    for name, array in values.items():
        if len(array) != rows:
            raise ValueError(f"{name} {array.shape} has another batch than tokens {tokens.shape}")
        values[name] = only_present(array, present)
        check_finite(name, values[name])
    there = all_present(present, rows)
    mask = jnp.ones((rows, count), bool) if mask is None else mask
    facts = {"mask": mask & there[:, None], "present": there, "key": jnp.arange(rows) if ids is None else ids}
    return Rows(values, facts)


def token_contrastive(x: Rows, y: Rows, scale, *, score, params=None, label_smoothing=0.0, impl="dense"):
    """Symmetric InfoNCE with any similarity of two sets of tokens, mean over anchors.

    L = 1/2 mean_i[-log softmax_j(s a_ij)_i] + 1/2 mean_j[-log softmax_i(s b_ij)_j], (a, b) = score(x, y)

    with a_ij the similarity for the anchor x_i and b_ij that for the anchor y_j, which need not be the same.

    FILIP's with `MaxSimilarity` (Yao et al. 2022, arXiv 2111.07783, equations 1 to 5), CiCo's with `SoftMaxSimilarity`
    (Cheng et al. 2023, arXiv 2303.12793), X-Pool's with `AttentionPooled` (Gorti et al. 2022, arXiv 2203.15086).
    Several positives (equal ids) share an anchor's target evenly, as in `softmax_contrastive`.

    Args:
        x, y: `token_rows` of the same batch.
        scale: () factor of the similarities, 1/temperature.
        score: a `tokens_scores.Score`.
        params: what it has learned, differentiated too; None: nothing.
        label_smoothing: share in [0, 1) of every target that is spread over the anchor's candidates.
        impl: "dense": the products of all B x B pairs of token sets at once. "blockwise", "ring", "auto": as for
            `softmax_contrastive`, with tiles of few rows, so that a tile holds `TILE_NUMBERS` products.

    Returns:
        () float32; 0 where no anchor has a positive.

    Raises:
        ValueError: if shapes, values or the mesh do not fit.
    """
    _check_sides(x, y)
    params = {} if params is None else params
    x, y = score.prepare(x, params, first=True), score.prepare(y, params, first=False)
    return prepared_contrastive(x, y, scale, score=score, params=params, label_smoothing=label_smoothing, impl=impl)


def prepared_contrastive(x: Rows, y: Rows, scale, *, score, params, label_smoothing=0.0, impl="dense"):
    """`token_contrastive` of rows that `score.prepare` has seen."""
    check_scale(scale)
    check_share("label_smoothing", label_smoothing)
    numbers = score.numbers(x, y)
    impl = choose_impl(impl, len(x.facts["key"]), len(y.facts["key"]), numbers)
    terms = functools.partial(_terms, score)
    params = {"scale": scale, "score": params}
    if impl != "dense":
        rows = tile_rows(numbers)
        return lean_softmax(terms, x, y, params, impl=impl, smoothing=label_smoothing, tile_rows=rows)
    t = terms(x, y, params)
    to_y = mean_cross_entropy(t.logits, t.to_y, t.keep, label_smoothing)
    return (to_y + mean_cross_entropy(t.y_logits.T, t.to_x.T, t.keep.T, label_smoothing)) / 2


def tile_rows(numbers: int) -> int:
    """Rows of a square tile whose pairs are made of that many numbers each."""
    return max(1, min(tiles.TILE_ROWS, math.isqrt(TILE_NUMBERS // numbers)))


def _terms(score, x: Rows, y: Rows, params) -> Terms:
    to_y, to_x = score(x, y, params["score"])
    keep = both_present(x, y)
    partners = (keep & same_key(x, y)).astype(jnp.float32)
    return Terms(params["scale"] * to_y, keep, partners, partners, params["scale"] * to_x)


def _check_sides(x: Rows, y: Rows) -> None:
    a, b = x.values["tokens"], y.values["tokens"]
    if (a.shape[0], a.shape[2]) != (b.shape[0], b.shape[2]):
        raise ValueError(f"tokens of x {a.shape} and of y {b.shape} must have the same batch and the same width")
