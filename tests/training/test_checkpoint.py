"""Checkpoints: whole, verified, restored onto other meshes, the damaged one put aside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.errors import UserError
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.state import TrainState


def state_of(step, devices=8):
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    split, whole = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    rng = np.random.default_rng(step)
    return TrainState(
        seed=jax.device_put(jnp.uint32(0), whole),
        step=jax.device_put(jnp.int32(step), whole),
        params={"w": jax.device_put(rng.normal(size=(16, 3)).astype(np.float32), split)},
        objective_state={},
        opt_state=({"mu": {"w": jax.device_put(rng.normal(size=(16, 3)).astype(np.float32), split)}}, ()),
        ema=None,
        teachers={},
        skipped=jax.device_put(jnp.int32(0), whole),
    )


def abstract(state):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("devices", [8, 4, 2, 1])
def test_restores_the_same_bits_onto_fewer_devices(tmp_path, devices):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(state_of(3))
    checkpoints.wait()
    restored = checkpoints.restore(abstract(state_of(3, devices)))
    assert_same(restored, state_of(3))
    assert len(restored.params["w"].sharding.device_set) == devices


def test_keeps_the_newest_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", keep=2, best="val/r", best_mode="max")
    for step, metric in ((1, 0.1), (2, 0.9), (3, 0.5), (4, 0.2), (5, None)):
        checkpoints.save(state_of(step), {} if metric is None else {"val/r": metric})
    checkpoints.wait()
    assert checkpoints.steps() == [2, 4, 5]


def test_saving_does_not_hold_on_to_the_state(tmp_path):
    """The training step gives the state's memory away at once; what is written must be a copy."""
    checkpoints = Checkpoints(tmp_path / "c")
    state = state_of(1)
    checkpoints.save(state)
    jax.tree.map(lambda x: x.delete(), state)
    checkpoints.wait()
    assert_same(checkpoints.restore(abstract(state_of(1))), state_of(1))


def damage(folder, change):
    """Change every data file of a checkpoint: which of them hold what is read depends on when they were merged."""
    for file in folder.rglob("d/*"):
        file.write_bytes(change(file.read_bytes()))


def flip_bit(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("change", [flip_bit, lambda d: d[: len(d) // 2], lambda d: b""], ids=["bit", "cut", "empty"])
def test_damaged_newest_is_named_put_aside_and_skipped(tmp_path, change):
    checkpoints = Checkpoints(tmp_path / "c")
    for step in (1, 2):
        checkpoints.save(state_of(step))
    checkpoints.wait()
    damage(tmp_path / "c" / "2", change)
    said = []
    assert_same(checkpoints.restore(abstract(state_of(1)), log=said.append), state_of(1))
    assert len(said) == 1 and "checkpoint 2 is damaged" in said[0]
    assert checkpoints.steps() == [1] and (tmp_path / "damaged" / "2").is_dir()
    checkpoints.save(state_of(2))  # the step can be saved again
    checkpoints.wait()
    assert checkpoints.steps() == [1, 2]


def test_damaged_one_asked_for_is_an_error(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(state_of(1))
    checkpoints.wait()
    damage(tmp_path / "c" / "1", flip_bit)
    with pytest.raises(UserError, match="checkpoint 1 is damaged"):
        checkpoints.restore(abstract(state_of(1)), step=1)
    with pytest.raises(UserError, match=r"no checkpoint of step 7(.|\n)*steps here: 1"):
        checkpoints.restore(abstract(state_of(1)), step=7)


def test_nothing_to_restore(tmp_path):
    assert Checkpoints(tmp_path / "c").restore(abstract(state_of(1))) is None


def test_digest_sees_swapped_values():
    from mmjax.training.checkpoint import _checksum

    a = jnp.array([1.0, 2.0, 3.0])
    assert _checksum(a) != _checksum(a[::-1]) and _checksum(a) == _checksum(a + 0)
    assert _checksum(jnp.array([0.0])) != _checksum(jnp.array([-0.0]))
