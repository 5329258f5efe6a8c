"""A two-modality loss over several pairs of modalities."""

import jax.numpy as jnp


def pairwise(vectors, pairs, loss, *parameters, weights=None, present=None):
    """sum_p w_p loss(vectors of the one, vectors of the other, parameters of the pair), over a list of pairs.

    With all pairs this is pairwise CLIP for several modalities; with the pairs of one modality with each other one it
    is ImageBind's objective (Girdhar et al. 2023, arXiv 2305.05665). For example

        pairwise(vectors, [("image", "text"), ("image", "audio")], softmax_contrastive, scales)
        pairwise(vectors, pairs, sigmoid_contrastive, scales, biases, weights=[1.0, 0.5])

    Args:
        vectors: name -> (B, D) unit rows.
        pairs: (name, name) each.
        loss: `loss(x, y, *parameters, x_present=..., y_present=...) -> ()`, for example `softmax_contrastive`; bind
            further options with `functools.partial`.
        *parameters: what every pair has of its own, one entry for each pair: scales, and biases where the loss has
            them.
        weights: one for each pair; None: 1 each.
        present: name -> (B,) bool, for modalities of which samples are missing. A pair without a valid sample adds 0,
            as each loss sees to.

    Returns:
        () float32.

    Raises:
        ValueError: if a pair names what is not there, or numbers of entries do not match.
    """
    losses = pair_losses(vectors, pairs, loss, *parameters, present=present)
    weights = [1.0] * len(losses) if weights is None else weights
    _check_entries("weights", weights, pairs)
    return sum((w * value for w, value in zip(weights, losses, strict=True)), jnp.float32(0))


def pair_losses(vectors, pairs, loss, *parameters, present=None):
    """The losses () of all pairs as a list, in their order; arguments as in `pairwise`."""
    present = present or {}
    for name in [n for pair in pairs for n in pair] + list(present):
        if name not in vectors:
            raise ValueError(f"there is no modality {name!r} in vectors: it has {', '.join(map(repr, vectors))}")
    for k, values in enumerate(parameters):
        _check_entries("scales" if k == 0 else f"parameters[{k}]", values, pairs)
    return [
        loss(vectors[a], vectors[b], *own, x_present=present.get(a), y_present=present.get(b))
        for (a, b), *own in zip(pairs, *parameters, strict=True)
    ]


def _check_entries(name: str, values, pairs) -> None:
    if len(values) != len(pairs):
        raise ValueError(f"{name} has {len(values)} entries for {len(pairs)} pairs: give one for each pair")
