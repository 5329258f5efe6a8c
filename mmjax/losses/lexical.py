"""Embeddings whose entries are words: every sample as its weights over a vocabulary (VDR)."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_present
from mmjax.losses.softmax import softmax_contrastive


def elu1p(x):
    """ELU(x) + 1: x + 1 above 0 and exp(x) below, so that weights are positive and grow without bound."""
    return jax.nn.elu(x) + 1


def bag_of_words(ids, mask, vocabulary: int, leave_out=()):
    """(B, vocabulary) float32, 1 for every word that a text has.

    Args:
        ids: (B, L) int32, words.
        mask: (B, L) bool, True for real ones.
        vocabulary: number of words; ids are below it.
        leave_out: ids that are no words, such as the end of text.
    """
    for number in leave_out:
        mask = mask & (ids != number)
    rows = jnp.arange(len(ids))[:, None]
    # Ids that do not count are put past the end, and dropped there.
    return jnp.zeros((len(ids), vocabulary)).at[rows, jnp.where(mask, ids, vocabulary)].set(1.0, mode="drop")


def top_k_mask(x, k: int):
    """(B, V) bool, the k greatest entries of each row; all where k is 0 or at least V. Ties with the k-th count too."""
    if not 0 < k < x.shape[1]:
        return jnp.ones(x.shape, bool)
    return x >= jax.lax.stop_gradient(jax.lax.top_k(x, k)[0][:, -1:])


def lexical_contrastive(
    x, y, scale=1.0, *, k, x_words=None, y_words=None, x_present=None, y_present=None, impl="dense"
):
    """Mean of the contrasts that keep a vocabulary's weights both sparse and about words.

    L = mean of l(top_k(x) | words(x), y), l(x, top_k(y) | words(y)), l(words(x), y), l(x, words(y)), with l symmetric
    InfoNCE of inner products (VDR, Zhou et al. 2024, arXiv 2212.07699, equation 7). A side without words, such as
    pictures, has no term of words alone, and its top k alone.

    Args:
        x, y: (B, V) weights of words, positive.
        scale: () factor of the inner products; 1 in the paper.
        k: entries that are kept, 768 in the paper; 0: all.
        x_words, y_words: (B, V) 0 or 1, the words of each text, or None.
        x_present, y_present: (B,) bool; absent rows are left out.
        impl: as for `softmax_contrastive`.

    Returns:
        () float32.

    Raises:
        ValueError: if shapes do not fit.
    """
    for name, words in (("x_words", x_words), ("y_words", y_words)):
        if words is not None and words.shape != x.shape:
            raise ValueError(f"{name} {words.shape} must be {x.shape}: a weight for every word of the vocabulary")
    check_present("x_present", x_present, len(x))
    check_present("y_present", y_present, len(y))
    options = {"x_present": x_present, "y_present": y_present, "impl": impl}

    def contrast(a, b):
        return softmax_contrastive(a, b, scale, **options)

    terms = [contrast(sparse(x, k, x_words), y), contrast(x, sparse(y, k, y_words))]
    terms += [contrast(x_words, y)] if x_words is not None else []
    terms += [contrast(x, y_words)] if y_words is not None else []
    return sum(terms) / len(terms)


def sparse(x, k: int, words=None):
    """x (B, V) with all but its k greatest entries of each row, and those of its words, set to 0."""
    kept = top_k_mask(x, k)
    return jnp.where(kept if words is None else kept | (words > 0), x, 0.0)
