"""Meshes, partition rules, and how states are laid out."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from mmjax.errors import UserError
from mmjax.mesh import check_batch, make_mesh, partition_specs, shardings_like


def mesh_of(data=-1, fsdp=1, tensor=1, devices=None):
    return make_mesh({"data": data, "fsdp": fsdp, "tensor": tensor}, devices)


def test_one_size_is_inferred():
    assert dict(mesh_of(fsdp=2, tensor=2).shape) == {"data": 2, "fsdp": 2, "tensor": 2}
    assert dict(mesh_of(data=1, fsdp=-1).shape) == {"data": 1, "fsdp": 8, "tensor": 1}


@pytest.mark.parametrize("sizes", [(16, 1, 1), (3, 1, 1), (-1, 3, 1), (-1, -1, 1), (0, 1, 1)])
def test_meshes_that_do_not_fit(sizes):
    with pytest.raises(UserError, match="mesh data="):
        mesh_of(*sizes)


def test_batch_must_divide():
    check_batch(64, 4, mesh_of(data=4, fsdp=2))
    with pytest.raises(
        UserError, match=r"batch_size 60 does not divide into 8 device\(s\) x 2.*(\n.*)*such as 48 or 64"
    ):
        check_batch(60, 2, mesh_of(data=4, fsdp=2))
    check_batch(2, 1, mesh_of(data=2, tensor=4))  # the tensor axis does not split the batch


def test_first_rule_wins_and_aligns_with_the_last_axes():
    params = {"image": {"blocks": {"kernel": jnp.zeros((3, 8, 16))}, "other": {"kernel": jnp.zeros((8, 16))}}}
    rules = (("blocks/kernel", (None, "tensor")), ("kernel", ("fsdp", None)))
    specs = partition_specs(params, mesh_of(fsdp=2, tensor=2), rules)
    assert specs["image"]["blocks"]["kernel"] == P(None, None, "tensor")
    assert specs["image"]["other"]["kernel"] == P("fsdp", None)


def test_uncovered_and_indivisible_parameters_are_named():
    mesh = mesh_of(fsdp=4)
    with pytest.raises(UserError, match=r"no partition rule covers the parameter strange/thing of shape \(4, 4\)"):
        partition_specs({"strange": {"thing": jnp.zeros((4, 4))}}, mesh)
    with pytest.raises(UserError, match=r"axis 0 of the parameter a/w, 6 long, does not divide over fsdp = 4 devices"):
        partition_specs({"a": {"w": jnp.zeros((6, 4))}}, mesh, [("w", ("fsdp", None))])
    with pytest.raises(UserError, match="names the mesh axis 'model'"):
        partition_specs({"a": {"w": jnp.zeros((6, 4))}}, mesh, [("w", ("model", None))])


def test_moments_lie_like_their_parameters():
    params = {"a": {"w": jnp.zeros((8, 4)), "b": jnp.zeros((4,))}}
    mesh = mesh_of(fsdp=8)
    specs = {"a": {"w": P("fsdp", None), "b": P()}}
    state = [{"mu": params, "count": jnp.zeros(())}, {"a": {"w": jnp.zeros((1,))}}]
    shardings = shardings_like(state, params, specs, mesh)
    assert shardings[0]["mu"]["a"]["w"].spec == P("fsdp", None)
    assert shardings[0]["count"].spec == P()
    assert shardings[1]["a"]["w"].spec == P()  # a factored moment of another shape
    assert len(jax.tree.leaves(shardings)) == 4
