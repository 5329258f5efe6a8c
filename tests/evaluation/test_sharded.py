"""Any mesh gives the bits of one device on uneven sizes, in memory that does not grow with the score matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.evaluation import ranking, sharded
from mmjax.evaluation.gap import uniformity
from mmjax.mesh import make_mesh


def unit(rng, rows, width=24):
    x = rng.normal(size=(rows, width)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


MESHES = {
    "2": ({"data": 2, "fsdp": 1, "tensor": 1}, 2),
    "8": ({"data": 2, "fsdp": 4, "tensor": 1}, 8),
    "2x2 with tensor": ({"data": 2, "fsdp": 2, "tensor": 2}, 8),
}


@pytest.fixture(params=MESHES)
def mesh(request):
    sizes, devices = MESHES[request.param]
    return make_mesh(sizes, jax.devices()[:devices])


def test_any_mesh_gives_the_bits_of_one_device(mesh):
    rng, rows, gallery, block = np.random.default_rng(3), 101, 67, 16  # on 8 devices some hold nothing but filling
    x, y = unit(rng, rows), unit(rng, gallery)
    x_ids, y_ids = rng.integers(0, 30, rows), rng.integers(0, 30, gallery)
    alone = ranking.retrieval_ranks(x, y, x_ids, y_ids, block=block)
    np.testing.assert_array_equal(ranking.retrieval_ranks(x, y, x_ids, y_ids, block=block, mesh=mesh), alone)
    pairs = zip(ranking.topk(x, y, 9, block=block), ranking.topk(x, y, 9, block=block, mesh=mesh), strict=True)
    for one, many in pairs:
        np.testing.assert_array_equal(many, one)


def test_ties_across_devices_go_to_the_earlier_row(mesh):
    x, y = np.ones((40, 2), np.float32), np.ones((50, 2), np.float32)  # several devices hold queries
    indices, _ = ranking.topk(x, y, 5, block=4, mesh=mesh)
    assert indices.tolist() == [[0, 1, 2, 3, 4]] * 40
    own = np.arange(49, 9, -1)
    np.testing.assert_array_equal(ranking.retrieval_ranks(x, y, own, np.arange(50), block=4, mesh=mesh), own)


def test_uniformity_on_a_mesh(mesh):
    x = unit(np.random.default_rng(4), 77)
    assert uniformity(x, block=10, mesh=mesh) == pytest.approx(uniformity(x), rel=1e-6)


def test_a_mesh_without_batch_axes_is_one_shard():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("tensor",))
    x = unit(np.random.default_rng(5), 9)
    np.testing.assert_array_equal(ranking.topk(x, x, 3, mesh=mesh)[0], ranking.topk(x, x, 3)[0])


@pytest.mark.parametrize("step", [ranking._best_correct, ranking._count_before, ranking._merge_top])
@pytest.mark.parametrize("devices", [1, 8])
def test_memory_is_a_few_blocks_not_the_score_matrix(step, devices):
    rows, width, block = 32_768, 8, 256
    mesh = make_mesh({"data": devices, "fsdp": 1, "tensor": 1}, jax.devices()[:devices])
    lie = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(("data", "fsdp")))

    def blocks(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct((rows // block, block, *shape), dtype, sharding=lie)

    one, number = blocks(), blocks(dtype=jnp.int32)
    gallery = {"x": blocks(width), "id": number, "index": number}
    carry = {
        ranking._best_correct: (one, number),
        ranking._count_before: number,
        ranking._merge_top: (blocks(10), blocks(10, dtype=jnp.int32)),
    }[step]
    compiled = sharded.fold.lower(step, carry, gallery | {"best": (one, number)}, gallery, mesh).compile()
    held = rows * (width + 30) * 4 * 3 // devices  # the rows themselves and the loop's copies of them
    bound = held + 12 * block * block * 4
    assert compiled.memory_analysis().temp_size_in_bytes < bound < rows * rows * 4 / devices / 20
