"""The softmax contrastive loss and what it may be told: more positives, softer targets, more negatives, gaps."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_present, check_scale, check_share
from mmjax.losses.cross_entropy import mean_cross_entropy
from mmjax.losses.lean import choose_impl
from mmjax.losses.lean_softmax import Terms, lean_softmax
from mmjax.losses.logits import logits
from mmjax.losses.rows import Rows, both_present, paired_rows, same_key

DIRECTIONS = ("both", "x_to_y", "y_to_x")


def softmax_contrastive(
    x,
    y,
    scale,
    *,
    direction="both",
    label_smoothing=0.0,
    ids=None,
    targets=None,
    negatives=None,
    hard_negatives=None,
    hard_present=None,
    hard_targets=None,
    x_present=None,
    y_present=None,
    impl="dense",
):
    """Symmetric InfoNCE over the global batch, mean over anchors.

    L = 1/2 mean_i[-sum_j t_ij log softmax_j(s x_i.y_j)] + 1/2 mean_j[-sum_i u_ij log softmax_i(s x_i.y_j)]

    with t = u = identity (CLIP, Radford et al. 2021, arXiv 2103.00020, Figure 3). With several positives the targets of
    an anchor are even over them: its cross-entropy is their mean (SupCon's L_out, Khosla et al. 2020, arXiv 2004.11362,
    eq. 2; with K texts an image, 1-to-K, Nie et al. 2024, arXiv 2406.18254). Label smoothing mixes in a target that is
    even over the anchor's candidates (Szegedy et al. 2016, arXiv 1512.00567).

    Args:
        x: (B, D) rows of unit norm, float32 or bfloat16.
        y: (B, D), or (B, K, D) with K positives for each row of x.
        scale: () the factor of the similarities, 1/temperature; not its logarithm.
        direction: "both"; "x_to_y": anchors in x only, candidates in y; "y_to_x".
        label_smoothing: share in [0, 1) of every target that is spread over the anchor's candidates.
        ids: (B,) int; rows with equal ids are positives. None: only x_i with y_i.
        targets: (B, B), or (B, B K) >= 0: soft targets instead of ids, differentiable; rows are normalised for
            anchors in x, columns for anchors in y.
        negatives: (N, D) further candidates of every anchor in x, positives of none.
        hard_negatives: (B, H, D) further candidates of x_i alone.
        hard_present: (B, H) bool; of hard negatives that are absent nothing counts.
        hard_targets: (B, H) >= 0 target weights of the hard negatives beside 1 for a positive, or beside `targets`,
            before they are normalised; None: 0. Differentiable.
        x_present, y_present: (B,) bool, (B, K) for K positives; absent rows are no anchor, candidate or positive. The
            mean is over the anchors that are present and have a present positive; 0 if there is none.
        impl: "dense": all logits at once. "blockwise": a tile of them at a time. "ring": a tile at a time on every
            device of the mesh in use. "auto": by the memory that the dense form would take.

    Returns:
        () float32.

    Raises:
        ValueError: if shapes, values or the mesh do not fit; the message names the argument.
    """
    check_scale(scale)
    check_share("label_smoothing", label_smoothing)
    if direction not in DIRECTIONS:
        raise ValueError(f"unknown direction {direction!r}: use one of {', '.join(DIRECTIONS)}")
    x, y = paired_rows(x, y, ids=ids, x_present=x_present, y_present=y_present)
    _check_targets(x, y, ids, targets)
    _check_negatives(x.values["vector"], negatives, hard_negatives)
    hard = _hard(hard_negatives, hard_present, hard_targets)
    rows, columns = len(x.facts["key"]), len(y.facts["key"]) + (0 if negatives is None else len(negatives))
    impl = choose_impl(impl, rows, columns)
    form = _dense if impl == "dense" else functools.partial(_lean, impl=impl)
    anchors = {"to_y": direction != "y_to_x", "to_x": direction != "x_to_y"}
    return form(x, y, scale, targets, negatives, hard, smoothing=label_smoothing, **anchors)


class Hard(NamedTuple):
    """Candidates of one anchor in x alone: (B, H, D) vectors, (B, H) whether they are there, (B, H) target weights."""

    vectors: jax.Array
    present: jax.Array
    targets: jax.Array


def _dense(x: Rows, y: Rows, scale, targets, negatives, hard: Hard | None, *, smoothing, to_y, to_x):
    z, keep = scale * logits(x.values["vector"], y.values["vector"]), both_present(x, y)
    weights = (same_key(x, y) if targets is None else targets).astype(jnp.float32)
    losses = []
    if to_x:
        losses.append(mean_cross_entropy(z.T, weights.T, keep.T, smoothing))
    if to_y:
        parts = [(z, weights, keep), *_further(x, scale, negatives, hard)]
        z, weights, keep = (jnp.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        losses.append(mean_cross_entropy(z, weights, keep, smoothing))
    return sum(losses) / len(losses)


def _further(x: Rows, scale, negatives, hard: Hard | None):
    """Logits, weights, keep, (B, N) each, of further candidates of the anchors in x."""
    vectors, present = x.values["vector"], x.facts["present"][:, None]
    if negatives is not None:
        z = scale * logits(vectors, negatives)
        yield z, jnp.zeros_like(z), jnp.broadcast_to(present, z.shape)
    if hard is not None:
        yield scale * _own_products(vectors, hard.vectors, vectors.dtype), hard.targets, present & hard.present


def _own_products(x, candidates, dtype):
    """(B, H) products of x (B, D) with candidates (B, H, D) that belong to one row each."""
    return jax.vmap(lambda row, own: logits(row[None], own, dtype)[0])(x, candidates)


def _lean(x: Rows, y: Rows, scale, targets, negatives, hard: Hard | None, *, smoothing, to_y, to_x, impl):
    dtype = x.values["vector"].dtype
    if targets is not None:
        x.values["targets"] = targets
        y.facts["column"] = jnp.arange(targets.shape[1])
    if hard is not None:
        x.values.update(own=hard.vectors, own_targets=hard.targets)
        x.facts["own_present"] = hard.present
    y.facts["positive"] = jnp.ones(y.facts["present"].shape, bool)
    if negatives is not None:
        y = _with_negatives(y, negatives)

    def terms(x, y, params):
        z = params["scale"] * logits(x.values["vector"], y.values["vector"], dtype)
        weights = same_key(x, y) if targets is None else jnp.take(x.values["targets"], y.facts["column"], axis=1)
        keep = both_present(x, y)
        weights = jnp.where(keep & y.facts["positive"][None, :], weights.astype(jnp.float32), 0.0)
        return Terms(z, keep, weights, weights)

    def own(x, params):
        z = params["scale"] * _own_products(x.values["vector"], x.values["own"], dtype)
        keep = x.facts["present"][:, None] & x.facts["own_present"]
        return Terms(z, keep, jnp.where(keep, x.values["own_targets"], 0.0), None)

    own = own if hard is not None and to_y else None
    anchors = {"to_y": to_y, "to_x": to_x}
    return lean_softmax(terms, x, y, {"scale": scale}, impl=impl, smoothing=smoothing, own=own, **anchors)


def _with_negatives(y: Rows, negatives) -> Rows:
    """`y` with further rows that are there and are nobody's positives, and so no anchors either."""
    facts = {k: jnp.pad(v, (0, len(negatives))) for k, v in y.facts.items()}
    facts["present"] = facts["present"] | (jnp.arange(len(facts["present"])) >= len(y.facts["present"]))
    return Rows({"vector": jnp.concatenate([y.values["vector"], negatives])}, facts)


def _hard(vectors, present, targets) -> Hard | None:
    """The hard negatives with what was left out filled in, absent ones zero."""
    if vectors is None:
        for name, given in (("hard_present", present), ("hard_targets", targets)):
            if given is not None:
                raise ValueError(f"{name} without hard_negatives: give both, or none")
        return None
    shape = vectors.shape[:2]
    for name, given in (("hard_present", present), ("hard_targets", targets)):
        if given is not None and given.shape != shape:
            raise ValueError(f"{name} {given.shape} must be {shape}: one for each hard negative {vectors.shape}")
    if present is None:
        present = jnp.ones(shape, bool)
    check_present("hard_present", present.reshape(-1), present.size)
    targets = jnp.zeros(shape, jnp.float32) if targets is None else targets
    return Hard(jnp.where(present[..., None], vectors, 0), present, jnp.where(present, targets, 0.0))


def _check_targets(x: Rows, y: Rows, ids, targets) -> None:
    if targets is None:
        return
    if ids is not None:
        raise ValueError("give ids or targets, not both: either says what an anchor's positives are")
    shape = len(x.facts["key"]), len(y.facts["key"])
    if targets.shape != shape:
        raise ValueError(f"targets {targets.shape} must be {shape}: rows of x by rows of y")


def _check_negatives(x, negatives, hard_negatives) -> None:
    rows, width = x.shape
    if negatives is not None and (negatives.ndim != 2 or negatives.shape[1] != width):
        raise ValueError(f"negatives {negatives.shape} must be (N, {width}), as wide as x {x.shape}")
    if hard_negatives is None:
        return
    if hard_negatives.ndim != 3 or (hard_negatives.shape[0], hard_negatives.shape[2]) != (rows, width):
        raise ValueError(f"hard_negatives {hard_negatives.shape} must be ({rows}, H, {width}): some for each row of x")
