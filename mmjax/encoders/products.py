"""Matrix products with a backward pass of their own: the one place where platforms differ.

XLA on CPUs is quick at bfloat16 products only where the result is float32 and the contracted axis lies last on the left
and last, or last but one, on the right. All others, and those are what autodiff makes, it computes in float32 at a
quarter of the speed or less. On other platforms what is here lowers to what autodiff would make.
"""

import contextlib
import contextvars
import functools

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

# What a remat policy may keep, see `mmjax.encoders.spec`.
WITH_PARAMETER, OF_ACTIVATIONS = "product with a parameter", "product of activations"


_platform = contextvars.ContextVar("platform", default=None)


@contextlib.contextmanager
def compiling_for(platform: str):
    """What is traced inside, gradients included, will run on `platform`; else it is taken for JAX's default."""
    token = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(token)


def pack(x):
    """What backward is to keep of x: on CPUs, a bfloat16 x as integers of the same bits.

    The layers of a scan keep theirs in one stack, and XLA on CPUs turns a whole bfloat16 stack into float32 and back
    to write or read one layer of it. Integers it takes as they are. On TPUs they would cost a copy.
    """
    if x.dtype != jnp.bfloat16 or (_platform.get() or jax.default_backend()) != "cpu":
        return x
    return jax.lax.bitcast_convert_type(x, jnp.uint16)


def unpack(bits, dtype):
    """The x of `dtype` that `pack` made `bits` of."""
    return jax.lax.bitcast_convert_type(bits, dtype) if bits.dtype == jnp.uint16 else bits


def saveable(x, name: str):
    """x under a name by which a remat policy may keep it."""
    return unpack(checkpoint_name(pack(x), name), x.dtype)


def product(a, b, dimensions, dtype):
    """`jax.lax.dot_general(a, b, dimensions)` in `dtype`, accumulated in float32."""

    def resulting_in(accumulated, a, b):
        return jax.lax.dot_general(a, b, dimensions, preferred_element_type=accumulated).astype(dtype)

    if dtype == jnp.float32:
        return resulting_in(jnp.float32, a, b)
    cpu, default = (functools.partial(resulting_in, accumulated) for accumulated in (jnp.float32, dtype))
    return jax.lax.platform_dependent(a, b, cpu=cpu, default=default)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def dense(x, kernels, dtype):
    """x (..., D) times each of `kernels` (D, K): a tuple of (..., K) in `dtype`, in which all products are taken.

    Every product with a parameter passes through here.
    """
    return _dense_forward(x, kernels, dtype)[0]


def _dense_forward(x, kernels, dtype):
    last_with_first = (((x.ndim - 1,), (0,)), ((), ()))
    ys = [product(x.astype(dtype), kernel.astype(dtype), last_with_first, dtype) for kernel in kernels]
    return tuple(saveable(y, WITH_PARAMETER) for y in ys), (pack(x.astype(dtype)), like(x), kernels)


def _dense_backward(dtype, residuals, gs):
    bits, like_x, kernels = residuals
    x = unpack(bits, dtype)
    last_with_last = (((x.ndim - 1,), (1,)), ((), ()))
    to_x = [product(g, kernel.astype(dtype), last_with_last, dtype) for g, kernel in zip(gs, kernels, strict=True)]
    to_kernels = tuple(outer(x, g).astype(kernel.dtype) for g, kernel in zip(gs, kernels, strict=True))
    return functools.reduce(jnp.add, to_x).astype(like_x.dtype), to_kernels


dense.defvjp(_dense_forward, _dense_backward)


def like(x):
    """A scalar that remembers the dtype of x, which a backward pass must return."""
    return jnp.zeros((), x.dtype)


def outer(x, g):
    """The sum over all but the last axes of x (..., D) times g (..., K): (D, K) float32."""
    leading = tuple(range(x.ndim - 1))
    contract = functools.partial(product, dimensions=((leading, leading), ((), ())))

    def float32(x, g):
        if x.shape[-1] <= g.shape[-1] or x.dtype == jnp.float32:
            return contract(x, g, dtype=jnp.float32)
        # The operand on the left is transposed first, so the narrow one lies there; the barrier keeps XLA from turning
        # the product around again.
        return jax.lax.optimization_barrier(contract(g, x, dtype=jnp.float32)).T

    def own_dtype(x, g):
        return contract(x, g, dtype=x.dtype).astype(jnp.float32)

    return jax.lax.platform_dependent(x, g, cpu=float32, default=own_dtype)


def column_sums(x):
    """The sum of x (..., D) over all but the last axis: (D,) float32."""
    return jnp.sum(x.astype(jnp.float32), axis=tuple(range(x.ndim - 1)))


def matmul(a, b, dtype):
    """a (B, H, N, K) times b (B, H, K, M): (B, H, N, M) in `dtype`."""
    return product(a, b, (((3,), (2,)), ((0, 1), (0, 1))), dtype)


def matmul_rows(a, b, dtype):
    """a (B, H, N, K) times b (B, H, M, K) transposed: (B, H, N, M) in `dtype`."""
    return product(a, b, (((3,), (3,)), ((0, 1), (0, 1))), dtype)


def matmul_columns(a, b, dtype):
    """a (B, H, K, N) transposed times b (B, H, K, M): (B, H, N, M) in `dtype`."""

    def transposed(a, b):
        # Both batch axes in one: the reshape keeps XLA from folding the transpose back into the product.
        joined = a.shape[0] * a.shape[1]
        left, right = a.swapaxes(2, 3).reshape(joined, a.shape[3], a.shape[2]), b.reshape(joined, *b.shape[2:])
        y = jax.lax.dot_general(left, right, (((2,), (1,)), ((0,), (0,))), preferred_element_type=jnp.float32)
        return y.astype(dtype).reshape(*a.shape[:2], *y.shape[1:])

    def plain(a, b):
        return product(a, b, (((2,), (2,)), ((0, 1), (0, 1))), dtype)

    return jax.lax.platform_dependent(a, b, cpu=transposed, default=plain)
