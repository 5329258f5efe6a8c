"""Names of slices, and the child process that compiles for them."""

import importlib.util
import sys

import pytest

from mmjax.errors import UserError
from mmjax.plan import child
from mmjax.plan.chips import TPUS
from mmjax.plan.topology import Topology, compile_for_topology, parse_topology

needs_libtpu = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed")


def answer(devices, *, value, fail=""):
    """What the child calls in the tests below."""
    if fail == "user":
        raise UserError("no", where="here", remedy="do")
    if fail == "other":
        raise ValueError("broken")
    if fail == "death":
        import os

        os._exit(7)
    return {"chips": len(devices), "value": value, "kind": devices[0].device_kind}


def lowered(devices, *, rows):
    """A product of a split matrix with itself transposed: every chip must see all rows."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    split = NamedSharding(Mesh(np.array(devices), "data"), PartitionSpec("data"))
    x = jax.ShapeDtypeStruct((rows, 128), np.float32, sharding=split)
    return jax.jit(lambda x: jax.numpy.sin(x @ x.T).sum(axis=1), out_shardings=split).lower(x)


def test_good_names():
    assert parse_topology("v5e:16x16") == Topology("v5e", (16, 16))
    assert parse_topology("v4:4x4x8").chips == 128
    assert parse_topology("v6e:2x4").name == "v6e:2x4"


@pytest.mark.parametrize(
    "name", ["", "v5e", "v5e:16", "v5e:4x4x4", "v4:8x8", "v9:2x2", "v5e:0x4", "v5e:4 x 4", "v5e-16"]
)
def test_bad_names_are_refused_with_good_ones(name):
    with pytest.raises(UserError, match="v4:4x4x4, v5e:16x16") as error:
        parse_topology(name)
    assert repr(name) in error.value.what


def test_missing_libtpu_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"libtpu.*\n.*pip install 'mmjax\[plan\]'"):
        child.topology_devices("v5e:2x2")


def test_death_of_the_child_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="status 1"):
        compile_for_topology("v5e:2x2", "tests:any", {})


@needs_libtpu
@pytest.mark.slow
class TestChild:
    """With the real compiler."""

    def test_devices_are_chips(self):
        ask = lambda topology: compile_for_topology(topology, f"{__name__}:answer", {"value": [1, "a"]})  # noqa: E731
        assert ask("v5e:4x4") == {"chips": 16, "value": [1, "a"], "kind": "TPU v5 lite"}
        assert ask("v4:2x2x1") == {"chips": 4, "value": [1, "a"], "kind": "TPU v4"}

    def test_failures_come_back(self):
        ask = lambda fail: compile_for_topology("v5e:2x2", f"{__name__}:answer", {"value": 0, "fail": fail})  # noqa: E731
        with pytest.raises(UserError, match="no\n  where: here\n  to do: do"):
            ask("user")
        with pytest.raises(RuntimeError, match="ValueError: broken"):
            ask("other")
        with pytest.raises(RuntimeError, match="status 7"):
            ask("death")
        with pytest.raises(UserError, match="'v5e:3x3' is no slice"):
            compile_for_topology("v5e:3x3", f"{__name__}:answer", {"value": 0})

    def test_a_program_that_fits(self):
        said = compile_for_topology("v5e:2x2", f"{__name__}:lowered", {"rows": 1024})
        assert said["fits"] and said["memory"]["arguments"] == 1024 * 128 * 4 // 4
        assert said["flops"] == 2 * 1024 * 1024 * 128 / 4
        # However the compiler writes the gather, each chip receives the other chips' rows: as bfloat16, to which a
        # TPU rounds float32 factors.
        assert sum(size for _, size in said["collectives"].values()) == 3 * 256 * 128 * 2

    @pytest.mark.parametrize("topology", ["v4:2x2x1", "v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
    def test_totals_lead_to_the_verdict(self, topology):
        """A step whose activations grow with its rows: two totals that fit foretell what the compiler says of a third
        that does not, and its limit is the table's."""
        available = TPUS[parse_topology(topology).kind].hbm
        row = 24 * 2048 * 4  # bytes of a row in 24 layers; a step keeps between two and three times as much
        counts = [int(share * available / row) // 1024 * 1024 for share in (0.30, 0.35, 0.40)]
        low, high, over = (compile_for_topology(topology, f"{__name__}:layers", {"rows": n}) for n in counts)
        assert low["fits"] and high["fits"] and not over["fits"]
        slope = (high["memory"]["total"] - low["memory"]["total"]) / (counts[1] - counts[0])
        foretold = high["memory"]["total"] + slope * (counts[2] - counts[1])
        # The compiler packs what is large a little differently from what is small: 1.2 % on v5p, 0.1 % elsewhere.
        assert over["used"] == pytest.approx(foretold, rel=0.02) and over["used"] > available
        assert over["available"] == pytest.approx(available, abs=2**20)


def layers(devices, *, rows):
    """A step of gradient descent on 24 layers without remat; `rows` of 2048 numbers on each chip."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    def loss(ws, x):
        return jnp.mean(jnp.square(jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, ws)[0]))

    mesh = Mesh(np.array(devices), "data")
    whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    ws = jax.ShapeDtypeStruct((24, 2048, 2048), np.float32, sharding=whole)
    x = jax.ShapeDtypeStruct((rows * len(devices), 2048), np.float32, sharding=split)
    step = lambda ws, x: ws - 0.1 * jax.grad(loss)(ws, x)  # noqa: E731
    return jax.jit(step, donate_argnums=0, out_shardings=whole).lower(ws, x)
