"""What GLSCL asks of the queries that both modalities share: alike between a pair, apart within a sample."""

import jax.numpy as jnp

from mmjax.losses.masked import masked_mean


def query_consistency(x, y, present, *, beta: float = 0.005, target: float = 0.75):
    """mean over pairs of the mean square of x_q - y_q, and beta sum_q (mean over pairs of x_q . y_q - target)^2.

    The inter-consistency loss of GLSCL (Zhang et al. 2024, arXiv 2405.12710). Its released code takes the square of
    batch means, which a batch of mismatched queries can make zero, and divides the sum over a batch by Q.

    Args:
        x, y: (B, Q, D) queries of unit norm, filled by either modality.
        present: (B,) bool, pairs that are there.
        beta: weight of the second term.
        target: of the mean cosine of a query with its counterpart.

    Returns:
        () float32.
    """
    square = masked_mean(jnp.mean(jnp.square(x - y), axis=(1, 2)), present)
    there = present.astype(jnp.float32)
    cosines = jnp.einsum("bqd,bqd,b->q", x, y, there) / jnp.maximum(jnp.sum(there), 1.0)
    # A batch without a pair asks for nothing.
    pull = jnp.where(jnp.any(present), jnp.sum(jnp.square(cosines - target)), 0.0)
    return square + beta * pull


def query_diversity(queries, present, *, margin: float = 0.1):
    """Twice the mean over pairs q != r of max(0, margin + G_qr - G_qq), G the batch's mean of products q . r.

    The intra-diversity loss of GLSCL (arXiv 2405.12710): 0 where all mean cosines are at most 1 - margin. Both
    directions of the hinge are the same for unit vectors, hence twice.

    Args:
        queries: (B, Q, D) of unit norm.
        present: (B,) bool.
        margin: by which distinct queries lie apart.

    Returns:
        () float32; 0 for one query.
    """
    there = present.astype(jnp.float32)
    gram = jnp.einsum("bqd,brd,b->qr", queries, queries, there) / jnp.maximum(jnp.sum(there), 1.0)
    distinct = ~jnp.eye(len(gram), dtype=bool)
    excess = jnp.maximum(margin + gram - jnp.diagonal(gram)[:, None], 0.0)
    return jnp.where(jnp.any(present), 2 * masked_mean(jnp.where(distinct, excess, 0.0), distinct), 0.0)
