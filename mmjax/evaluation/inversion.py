"""An embedding of one modality as one of the other: pseudo-tokens found by gradient through a frozen tower.

Cross the Gap (Mistretta et al. 2025, arXiv 2502.04263): OTI finds words for a picture, OVI patches for a text. Both are
plain optimisation of 1 - cosine, every row by itself.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.encoders.stems import Stem
from mmjax.errors import UserError
from mmjax.evaluation import sharded
from mmjax.mesh import replicated
from mmjax.rng import step_key

BLOCK = 256  # rows that are inverted at once


@dataclasses.dataclass(frozen=True)
class Descent:
    """How pseudo-tokens are found: AdamW from N(0, 0.02^2), as the paper's released code does.

    Attributes:
        steps: of descent; the paper's OTI takes 150, its OVI 1,000.
        learning_rate: constant.
        weight_decay: times the learning rate.
        tokens: pseudo-tokens for each row.
        seed: of where they start.
    """

    steps: int = 150
    learning_rate: float = 2e-2
    weight_decay: float = 0.01
    tokens: int = 1
    seed: int = 0


def invert(encode, params, targets, width: int, descent: Descent, *, mesh=None):
    """Unit rows (N, D) that `encode` makes of the pseudo-tokens found for `targets`, and the tokens (N, R, width).

    Some rows at a time, split over the devices: memory does not grow with their number.

    Args:
        encode: (params, pseudo-tokens (N, R, width)) -> unit rows (N, D), each row from its own tokens alone.
        params: what `encode` is given, never changed.
        targets: (N, D) unit rows to come near to.
        width: of a pseudo-token.
        descent: how they are found.
        mesh: devices to use; this process's first one if not given.
    """
    optimizer = optax.adamw(descent.learning_rate, b2=0.999, eps=1e-8, weight_decay=descent.weight_decay)
    shape = (len(targets), descent.tokens, width)
    start = np.asarray(0.02 * jax.random.normal(step_key(descent.seed, "inversion", 0), shape))

    def loss(tokens, params, targets):
        return jnp.sum(1 - jnp.sum(encode(params, tokens) * targets, axis=1))  # a sum: no row's step depends on others

    def run(tokens, params, targets):
        def step(carry, _):
            tokens, state = carry
            gradient = jax.grad(loss)(tokens, params, targets)
            with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integer counts
                updates, state = optimizer.update(gradient, state, tokens)
            return (optax.apply_updates(tokens, updates), state), None

        (tokens, _), _ = jax.lax.scan(step, (tokens, optimizer.init(tokens)), length=descent.steps)
        return encode(params, tokens), tokens

    mesh = mesh or sharded.one_device()
    devices = sharded.shards(mesh)
    block = -(-min(BLOCK, len(targets)) // devices) * devices
    run = jax.jit(run, out_shardings=replicated(mesh))
    found = [
        jax.device_get(run(_block(start, i, block, mesh), params, _block(targets, i, block, mesh)))
        for i in range(0, len(targets), block)
    ]
    rows, tokens = (np.concatenate(parts)[: len(targets)] for parts in zip(*found, strict=True))
    return rows, tokens


def _block(array, start: int, block: int, mesh):
    """(block, ...) rows of a host array from `start` on, split over the devices; the last row fills the last block."""
    rows = np.asarray(array)[np.minimum(np.arange(start, start + block), len(array) - 1)]
    sharding = NamedSharding(mesh, PartitionSpec(sharded.batch_axes(mesh)))
    return jax.make_array_from_callback(rows.shape, sharding, lambda piece: rows[piece])


def text_encoder(model, params, stream: str, ids, mask, place: int):
    """((params, pseudo-words (N, R, W)) -> unit rows (N, D), W): the text `ids` with pseudo-words from `place` on.

    The words are rows that are put below the table of token embeddings, so that the tower is used as it is.

    Args:
        model: a `mmjax.model.Model`.
        params: its parameters.
        stream: a text stream.
        ids, mask: (L,) ids of a template and which are real, those at the pseudo-words' places being replaced.
        place: where the first pseudo-word stands.

    Raises:
        UserError: if the stream's tower has no token embeddings.
    """
    tower, options = _tower(model, stream)
    if "token_embedding" not in params[tower] or "vocab_size" not in options:
        raise UserError(f"the tower of {stream!r} embeds no words", remedy="invert into a stream with a text tower")

    def encode(params, tokens):
        rows, count, width = tokens.shape
        table = params[tower]["token_embedding"]
        longer = model.clone(towers=_with_option(model, tower, vocab_size=len(table) + rows * count))
        words = jnp.concatenate([table, tokens.reshape(-1, width)])
        pseudo = len(table) + jnp.arange(rows * count, dtype=jnp.int32).reshape(rows, count)
        texts = jnp.broadcast_to(jnp.asarray(ids)[None], (rows, len(ids)))
        texts = jax.lax.dynamic_update_slice(texts, pseudo, (0, place))
        batch = {stream: texts, f"{stream}_mask": jnp.broadcast_to(jnp.asarray(mask)[None], texts.shape)}
        changed = {**params, tower: {**params[tower], "token_embedding": words}}
        return longer.apply({"params": changed}, batch)[stream].pooled

    return encode, params[tower]["token_embedding"].shape[1]


def patch_encoder(model, params, stream: str):
    """((params, pseudo-patches (N, R, W)) -> unit rows (N, D), W): a picture made of pseudo-patches alone.

    They take the place of what the stem makes of pixels; fewer than there are patches are each repeated over an even
    share of the places, as in the paper's released code. Everything else of the tower is used as it is.

    Args:
        model, params, stream: as for `text_encoder`, of an image stream.

    Raises:
        UserError: if the stream's tower is no ViT.
    """
    tower, options = _tower(model, stream)
    if "stem" not in params[tower] or "patch_size" not in options:
        raise UserError(f"the tower of {stream!r} has no patches", remedy="invert into a stream with a vit")
    side, channels = options["image_size"], options["channels"]
    blank = jnp.zeros((1, side, side, channels), jnp.float32)

    def encode(params, tokens):
        rows, count, width = tokens.shape

        def stem(call, args, kwargs, context):
            if not isinstance(context.module, Stem):
                return call(*args, **kwargs)
            grid = side // options["patch_size"]
            which = jnp.arange(grid * grid) * count // (grid * grid)
            return tokens[:, which].reshape(rows, grid, grid, width).astype(context.module.spec.dtype)

        with nn.intercept_methods(stem):
            pictures = jnp.broadcast_to(blank, (rows, *blank.shape[1:]))
            return model.apply({"params": params}, {stream: pictures})[stream].pooled

    return encode, options["width"]


def _tower(model, stream: str):
    """Name and options of the tower of a stream; UserError where there is no such stream."""
    name = dict(model.streams).get(stream)
    if name is None:
        raise UserError(f"no stream {stream!r}", remedy=f"streams here: {', '.join(dict(model.streams))}")
    return next((tower, dict(options)) for tower, _, _, options in model.towers if tower == name)


def _with_option(model, tower: str, **changed):
    """The towers of a model, one with changed options."""
    return tuple(
        (name, kind, projection, tuple({**dict(options), **changed}.items()) if name == tower else options)
        for name, kind, projection, options in model.towers
    )
