"""Inversion some rows at a time over a mesh gives what all rows at once on one device give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.evaluation import inversion
from mmjax.evaluation.inversion import Descent, invert
from mmjax.mesh import make_mesh

ROWS, WIDTH, TOKENS = 7, 6, 2


def unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("devices", [1, 2])
def test_blocks_over_a_mesh_are_all_rows_at_once(devices, monkeypatch):
    rng, seen = np.random.default_rng(0), []
    kernel = rng.normal(size=(WIDTH, 4)).astype(np.float32)
    targets = np.asarray(unit(rng.normal(size=(ROWS, 4)).astype(np.float32)))

    def encode(params, tokens):
        seen.append(len(tokens))
        return unit(jnp.tanh(tokens.mean(1)) @ params)

    descent = Descent(steps=20, tokens=TOKENS)
    expected, expected_tokens = invert(encode, kernel, targets, WIDTH, descent)
    assert set(seen) == {ROWS}
    seen.clear()
    monkeypatch.setattr(inversion, "BLOCK", 3)
    mesh = make_mesh({"data": devices, "fsdp": 1, "tensor": 1}, jax.devices()[:devices])
    found, tokens = invert(encode, kernel, targets, WIDTH, descent, mesh=mesh)
    assert set(seen) == {3 if devices == 1 else 4}
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tokens, expected_tokens, rtol=1e-4, atol=1e-5)
