"""Tiny encoders and their inputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.encoders import TextTransformer, ViT
from mmjax.rng import example_keys, step_key

TINY = {"width": 16, "depth": 2, "heads": 2}


def tiny_vit(**options):
    return ViT(**{"image_size": 16, "patch_size": 8, **TINY, **options})


def tiny_text(**options):
    return TextTransformer(**{"vocab_size": 30, "context": 7, "eot_id": 29, **TINY, **options})


def images(batch=4, height=16, width=16, channels=3):
    return np.random.default_rng(0).normal(size=(batch, height, width, channels)).astype(np.float32)


def texts(batch=4, length=7):
    ids = np.random.default_rng(1).integers(1, 29, (batch, length)).astype(np.int32)
    for row, end in enumerate(np.random.default_rng(2).integers(1, length, batch)):
        ids[row, end], ids[row, end + 1 :] = 29, 0
    return ids


def example_input(encoder):
    return images() if isinstance(encoder, ViT) else texts()


def keys(batch=4, step=0):
    return example_keys(step_key(0, "dropout", step), jnp.arange(batch))


def params_of(module, *inputs):
    """Random parameters, norms' scales around 1, so that no zeros and ones hide a mistake; nothing is compiled."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)["params"]
    rng = np.random.default_rng(3)

    def draw(path, leaf):
        spread = 0.25 if path[-1].key == "kernel" else 0.1
        return (spread * rng.normal(size=leaf.shape) + (path[-1].key == "scale")).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@functools.partial(jax.jit, static_argnums=0)
def features(module, params, x, mask=None, keys=None):
    """`module.apply`, compiled once for each module and shape."""
    return module.apply({"params": params}, x, mask=mask, keys=keys)


def pooled(module, params, x, **kwargs):
    return np.asarray(features(module, params, x, **kwargs).pooled)


@functools.partial(jax.jit, static_argnums=0)
def value_and_grad(module, params, x, keys=None):
    """A scalar of the pooled features and its gradient by the parameters."""
    return jax.value_and_grad(lambda p: jnp.sum(jnp.sin(module.apply({"params": p}, x, keys=keys).pooled)))(params)
