"""The figures of TPU chips, in one table, with their sources."""

from typing import NamedTuple

GIB = 2**30


class Tpu(NamedTuple):
    """One kind of TPU chip; all figures are of a chip, which JAX shows as one device.

    Attributes:
        device_kind: how JAX names the device.
        flops: dense bfloat16 peak, FLOP/s.
        hbm: bytes that a program may use. The data sheet's less what the runtime reserves: what the compiler of libtpu
            0.0.52 says is available when a program asks for more.
        hbm_bandwidth: bytes/s between HBM and chip.
        link_bandwidth: bytes/s of one interconnect link in one direction.
        torus_axes: axes of the interconnect, two links each.
        wraps_at: sides that are a multiple of this are closed to a ring.
        example: sides of a slice, for messages.
        source: where the figures are from.
        compiler_options: what its topology is asked for with.
    """

    device_kind: str
    flops: float
    hbm: int
    hbm_bandwidth: float
    link_bandwidth: float
    torus_axes: int
    wraps_at: int
    example: str
    source: str
    compiler_options: dict


# A data sheet's "bidirectional ICI bandwidth" adds up both directions of all links: 400 GB/s of v5e's 4 links are
# 50 GB/s a link and direction. v4's links: Jouppi et al. 2023, arXiv 2304.01433, table 4.
TPUS = {
    "v4": Tpu(
        *("TPU v4", 275e12, int(30.75 * GIB), 1200e9, 50e9, 3, 4, "4x4x4"),
        "https://cloud.google.com/tpu/docs/v4 and arXiv 2304.01433",
        {"chip_config_name": "megacore"},  # both cores of a chip as one device, as on the real machine
    ),
    "v5e": Tpu(
        *("TPU v5 lite", 197e12, int(15.75 * GIB), 819e9, 50e9, 2, 16, "16x16"),
        "https://cloud.google.com/tpu/docs/v5e",
        {},
    ),
    "v5p": Tpu(
        *("TPU v5", 459e12, int(95.73 * GIB), 2765e9, 100e9, 3, 4, "4x4x4"),
        "https://cloud.google.com/tpu/docs/v5p",
        {},
    ),
    "v6e": Tpu(
        *("TPU v6 lite", 918e12, int(31.24 * GIB), 1638e9, 100e9, 2, 16, "16x16"),
        "https://cloud.google.com/tpu/docs/v6e",
        {},
    ),
}
