"""Weights of an encoder for another that differs in length: more frames, longer texts. Pure functions."""

import jax

from mmjax.encoders.positions import resize_frames, stretch_positions

KEPT, STRETCH = 20, 4  # Long-CLIP's numbers


def fit_params(params, like):
    """The tree `params` with every array that has a rule in the shape of the same one in `like`.

    Args:
        params: parameters of a tower or model.
        like: tree of the same names, of arrays or shapes.
    """
    return jax.tree_util.tree_map_with_path(lambda path, x, to: fit_array(path[-1].key, x, to.shape), params, like)


def fit_array(name: str, x, shape: tuple[int, ...]):
    """The array x, the parameter `name` of one encoder, as that of an encoder where it has `shape`; else x itself.

    `frame_position_embedding` is cut, or goes on with zeros (Frozen in Time); `position_embedding` of L texts' places
    is stretched where 4 L - 60 are wanted (Long-CLIP: 77 to 248).
    """
    if x.ndim != 2 or x.shape == shape or x.shape[1:] != shape[1:]:
        return x
    if name == "frame_position_embedding":
        return resize_frames(x, shape[0])
    if name == "position_embedding" and shape[0] == STRETCH * (len(x) - KEPT) + KEPT:
        return stretch_positions(x, KEPT, STRETCH)
    return x
