"""The transformer once more, in float64 numpy with loops over heads, for tests to compare with."""

import math

import numpy as np


def f64(tree):
    """A parameter tree as float64 numpy."""
    return {k: f64(v) if isinstance(v, dict) else np.asarray(v, np.float64) for k, v in tree.items()}


def dense(x, p):
    return x @ p["kernel"] + p.get("bias", 0.0)


def layer_norm(x, p, eps):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * p["scale"] + p["bias"]


def rms_norm(x, p, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * p["scale"]


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def quick_gelu(x):
    return x / (1 + np.exp(-1.702 * x))


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(queries, x, p, heads, allowed=None, norm=None, eps=1e-6):
    """One example: queries (N, D) attend to x (M, D); allowed (N, M) bool; norm(x, p, eps) on each head's q and k."""
    q, k, v = (dense(a, p[n]) for a, n in ((queries, "query"), (x, "key"), (x, "value")))
    d = q.shape[-1] // heads
    out = np.zeros((len(queries), q.shape[-1]))
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        qh, kh = q[:, part], k[:, part]
        if norm:
            qh, kh = norm(qh, p["query_norm"], eps), norm(kh, p["key_norm"], eps)
        z = qh @ kh.T / math.sqrt(d)
        if allowed is not None:
            z = np.where(allowed, z, -np.inf)
        out[:, part] = softmax(z) @ v[:, part]
    return dense(out, p["out"])


def block(x, p, heads, act=gelu, norm=layer_norm, eps=1e-6, allowed=None):
    """One example x (N, D) through a pre-norm block."""
    y = norm(x, p["attention_norm"], eps)
    x = x + attention(y, y, p["attention"], heads, allowed)
    y = norm(x, p["mlp_norm"], eps)
    return x + dense(act(dense(y, p["mlp"]["up"])), p["mlp"]["down"])


def map_pool(x, p, heads, act=gelu, eps=1e-6, allowed=None):
    """One example x (N, D) -> (D,)."""
    y = attention(p["probe"][None], x, p["attention"], heads, allowed)
    z = layer_norm(y, p["norm"], eps)
    return (y + dense(act(dense(z, p["mlp"]["up"])), p["mlp"]["down"]))[0]


def patches(image, side):
    """(H, W, C) -> (N, side * side * C), row by row."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    corners = [(r * side, c * side) for r in range(rows) for c in range(columns)]
    return np.stack([image[r : r + side, c : c + side].ravel() for r, c in corners])
