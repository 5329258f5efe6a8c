"""A batch without its finer detail: projected on its own principal components."""

import functools

import jax
import jax.numpy as jnp

from mmjax.losses.logits import logits
from mmjax.losses.masked import present_rows


def principal_components(x, components: int, *, present=None):
    """The rows of x put together again from the batch's mean and its `components` main directions.

    (x - m) V V^T + m with m the mean of the global batch and V the eigenvectors of the largest eigenvalues of
    (x - m)^T (x - m): the primary component matching of Long-CLIP (Zhang et al. 2024, arXiv 2403.15378, section 3.3).
    The gradient goes through mean and directions too. It depends on V V^T alone, so it is finite where eigenvalues are
    equal; where those inside and outside V meet, which V to take is a matter of rounding, and that part is left out.

    Args:
        x: (B, D) floating.
        components: directions that are kept; D or more, or as many as the batch's rank, leave x as it is.
        present: (B,) bool; absent rows count for nothing and come out zero.

    Returns:
        (B, D) float32, not of unit norm.

    Raises:
        ValueError: if `components` is below 1 or shapes do not fit.
    """
    if components < 1:
        raise ValueError(f"components is {components}: keep at least 1")
    x, present = present_rows(x.astype(jnp.float32), present)
    count = jnp.maximum(jnp.sum(present, dtype=jnp.float32), 1.0)
    mean = jnp.sum(x, axis=0, keepdims=True) / count
    centred = jnp.where(present[:, None], x - mean, 0.0)
    # logits() multiplies in float32 on every platform.
    kept = (
        centred if components >= x.shape[1] else logits(centred, _projector(logits(centred.T, centred.T), components))
    )
    return jnp.where(present[:, None], kept + mean, 0.0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _projector(scatter, components: int):
    """V V^T (D, D) of the eigenvectors V of the largest eigenvalues of a symmetric `scatter` (D, D)."""
    return _projector_forward(scatter, components)[0]


def _projector_forward(scatter, components):
    values, vectors = jnp.linalg.eigh(scatter)
    inside = vectors[:, -components:]
    return logits(inside, inside), (values, vectors)


def _projector_backward(components, residuals, cotangent):
    """d(V V^T) = sum over i inside, j outside of (v_i v_j^T + v_j v_i^T) (v_i^T dS v_j) / (l_i - l_j)."""
    values, vectors = residuals
    inside, outside = vectors[:, -components:], vectors[:, :-components]
    gaps = values[-components:, None] - values[None, :-components]
    # Gaps below what eigh resolves are noise.
    clear = gaps > 1e-6 * jnp.maximum(values[-1], 1e-30)
    symmetric = cotangent + cotangent.T
    mixed = logits(inside.T, logits(symmetric, outside.T).T) * jnp.where(clear, 1 / jnp.where(clear, gaps, 1.0), 0.0)
    half = logits(logits(inside, mixed.T), outside)
    return ((half + half.T) / 2,)


_projector.defvjp(_projector_forward, _projector_backward)
