"""Headers of `.npy` files as NumPy writes them, in many threads, and what is none."""

import gc
import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mmjax.data.decoding.npy import parse_npy


def npy(array, version=None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


ARRAYS = [
    np.zeros((4, 8, 8, 3), np.uint8),
    np.float32(3.5).reshape(()),
    np.arange(7, dtype=">i8"),
    np.zeros((0, 5), np.float16),
    np.asfortranarray(np.ones((3, 4))),
    np.array(["a", "bcd"]),
    np.zeros(2, "M8[ns]"),
    np.zeros((1,) * 20, bool),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.ndim}")
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_headers_as_numpy_writes_them(array, version):
    data = npy(array, version)
    header = parse_npy(data)
    assert (header.shape, header.dtype) == (array.shape, array.dtype)
    assert header.by_columns == (array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous)
    assert header.start + header.nbytes == len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        npy(np.zeros(3))[:40],
        npy(np.zeros(3)).replace(b"(3,)", b"(-3)"),
        npy(np.zeros(3)).replace(b"<f8", b"<q9"),
        npy(np.zeros(3)).replace(b"True", b"Ture").replace(b"False", b"Maybe"),
        npy(np.zeros(3, "i4,f8")),
        npy(np.zeros(3)).replace(b"  ", b" ", 1),
        b"\x93NUMPY\x01\x00\xff\xff" + npy(np.zeros(3))[10:],
    ],
)
def test_what_is_no_header(data):
    with pytest.raises(ValueError, match="header|dtype"):
        parse_npy(data)


def test_objects_are_told():
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    assert parse_npy(file.getvalue()).dtype.hasobject


def test_threads_do_not_disturb_one_another():
    """With a garbage collector that yields to other threads, as JAX's callback does."""

    def yielding(*_):
        time.sleep(0)

    def parse(number):
        held = [[number] for _ in range(20)]
        return parse_npy(data).shape[0] + len(held)

    data = npy(np.zeros((4, 2)))
    gc.callbacks.append(yielding)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(parse, range(4000))) == {24}
    finally:
        gc.callbacks.remove(yielding)
