"""Tiny encoders and their inputs."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.encoders import TextTransformer, ViT
from mmjax.rng import example_keys, step_key

TINY = {"width": 16, "depth": 3, "heads": 2}


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


def params_of(encoder, x, noise=0.1):
    """Parameters away from their symmetric start, so that zeros and ones cannot hide a mistake."""
    params = encoder.init(jax.random.key(0), x)["params"]
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(3)
    return jax.tree.unflatten(tree, [p + noise * rng.normal(size=p.shape).astype(np.float32) for p in leaves])


def pooled(encoder, params, x, **kwargs):
    return np.asarray(jax.jit(lambda p, x: encoder.apply({"params": p}, x, **kwargs).pooled)(params, x))
