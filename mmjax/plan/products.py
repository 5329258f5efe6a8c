"""FLOPs of the matrix products and convolutions of an HLO program."""

import functools
import math
import re

import numpy as np

from mmjax.plan.hlo import Computation, Instruction


def product_flops(computation: Computation, product: Instruction) -> int:
    """FLOPs of a `dot` or `convolution`, positions in padding and in gaps of dilation left out."""
    left, right = (computation.operand(product, i).shapes[0].dims for i in (0, 1))
    out = product.shapes[0].dims
    if product.opcode == "dot":
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", product.attributes)
        return 2 * math.prod(out) * math.prod(left[int(i)] for i in contracted[1].split(",") if i)
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", product.attributes)
    flops = 2 * out[labels[3].index("b")] * out[labels[3].index("f")] * right[labels[2].index("i")]
    window = product.attribute(r"window=\{([^}]*)\}")
    for axis in (label for label in labels[1] if label.isdigit()):
        sides = (left[labels[1].index(axis)], right[labels[2].index(axis)], out[labels[3].index(axis)])
        flops *= _pairs(*sides, **_window(window, int(axis)))
    return flops


def _window(text: str, axis: int) -> dict:
    """Stride, dilations and padding along one axis of a convolution's window."""
    given = dict(part.split("=") for part in text.split())
    pick = lambda name, default: given[name].split("x")[axis] if name in given else default  # noqa: E731
    low, _, _ = pick("pad", "0_0").partition("_")
    return {
        "stride": int(pick("stride", "1")),
        "low": int(low),
        "gap": int(pick("lhs_dilate", "1")),
        "step": int(pick("rhs_dilate", "1")),
    }


@functools.cache
def _pairs(inputs: int, kernel: int, outputs: int, *, stride: int, low: int, gap: int, step: int) -> int:
    """How many (output, kernel) positions along an axis meet a number of the input."""
    # TPUs run batched products as convolutions over a dilated batch axis, in which almost every position is a gap.
    starts, meets = np.arange(outputs) * stride - low, 0
    for offset in range(0, kernel * step, step):
        place, rest = np.divmod(starts + offset, gap)
        meets += int(np.sum((rest == 0) & (place >= 0) & (place < inputs)))
    return meets
