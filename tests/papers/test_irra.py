"""IRRA's SDM: its limits, identities in a batch, bounded memory, meshes, and retrieval by identity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.label_retrieval import LabelRetrieval
from mmjax.losses import similarity_distribution_matching as sdm
from mmjax.objectives import DistributionMatching, WeightedObjectives
from tests.losses.properties import assert_close, unit_rows
from tests.papers.running import check_mesh, config_of, run

IDS = jnp.array([4, 4, 2, 0, 2, 2, 7, 4])


def rows(seed, count=8, width=4):
    return jnp.float32(unit_rows(seed, (count, width)))


def test_at_the_identities_it_is_zero_and_so_is_its_gradient():
    """p = q: rows of one identity in one place, far from all others, so that p is even over the identity."""
    x = jnp.eye(8)[IDS]
    loss, (dx, ds) = jax.value_and_grad(lambda x, s: sdm(x, x, s, ids=IDS), (0, 1))(x, jnp.float32(50.0))
    assert loss == pytest.approx(0, abs=1e-5)
    assert np.abs(dx).max() < 1e-5 and abs(ds) < 1e-5


def test_a_wrong_match_costs_log_eps_and_no_more():
    """Reverse KL is bounded: all mass on one wrong candidate costs -log(1e-8) = 18.4 in either direction."""
    x = jnp.eye(3)
    loss = sdm(x, x[jnp.array([1, 2, 0])], jnp.float32(500.0))
    assert loss == pytest.approx(-2 * np.log(1e-8), rel=1e-4)


def test_a_constant_on_all_logits_changes_nothing():
    """A coordinate that all rows share adds the same to every similarity."""
    x, y = rows(0), rows(1)
    common = jnp.full((8, 1), 0.7)
    shifted = [jnp.concatenate([r, common], axis=1) for r in (x, y)]
    np.testing.assert_allclose(sdm(*shifted, 9.0, ids=IDS), sdm(x, y, 9.0, ids=IDS), rtol=1e-5)


def test_blockwise_is_dense():
    """300 rows are more than a tile, some of them missing."""
    x, y, ids = rows(2, 300, 3), rows(3, 300, 3), jnp.arange(300) % 50
    options = {"ids": ids, "x_present": jnp.arange(300) % 7 != 1, "y_present": jnp.arange(300) % 5 != 2}

    def of(impl):
        loss = lambda x, y, s: sdm(x, y, s, impl=impl, **options)  # noqa: E731
        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(x, y, jnp.float32(20.0))

    for got, expected in zip(*map(jax.tree.leaves, (of("blockwise"), of("dense"))), strict=True):
        assert_close(got, expected)


def test_the_objective_reads_the_labels():
    features = {"image": Features(pooled=rows(0)), "text": Features(pooled=rows(1))}
    loss, _ = DistributionMatching().apply({}, features, {"label": IDS}, train=True)
    assert loss == sdm(rows(0), rows(1), 50.0, ids=IDS)
    assert loss != DistributionMatching(positives="").apply({}, features, {}, train=True)[0]
    with pytest.raises(UserError, match="the batch has no 'label'"):
        WeightedObjectives((("sdm", "sdm", ()),)).init(jax.random.key(0), features, {"id": IDS}, train=True)


class Embeddings:
    """Four pictures and three texts of the persons a and b."""

    mesh = None

    def rows(self, source, stream, **asked):
        turns = np.deg2rad([0, 10, 90, 40] if stream == "image" else [5, 95, 60])
        return Embedded(np.stack([np.cos(turns), np.sin(turns)], 1).astype(np.float32), np.arange(len(turns)), None)

    def labels(self, source, field, records, language):
        return [{4: "aabb", 3: "aba"}[len(records)][r] for r in records]


def test_retrieval_by_identity_by_hand():
    """Texts at 5 (a), 95 (b) and 60 (a) degrees; pictures at 0, 10 (a), 90 and 40 (b)."""
    result = LabelRetrieval("any")(Embeddings())
    # The picture at 40 degrees is b's: nearest a's text at 60, then a's at 5, then its own.
    assert result.metrics["image_to_text_R@1"] == 3 / 4
    # The text at 60 is a's: nearest b's picture at 40, then b's at 90.
    assert result.metrics["text_to_image_R@1"] == pytest.approx(2 / 3)
    assert result.chance["image_to_text_R@1"] == pytest.approx((2 / 3 + 1 / 3) / 2)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    check_mesh(config_of("irra", "sdm,24", batch_size=16, **{"objectives.identities.temperature": 0.1}))


def test_arguments():
    assert config_of("irra", "full").objectives.identities.temperature == 0.02
    for arg in ("sdm", "sdm,many", "ce,4"):
        with pytest.raises(ValueError, match="unknown argument"):
            config_of("irra", arg)


@pytest.mark.slow
def test_where_identities_repeat_sdm_beats_infonce(tmp_path):
    sdm, infonce = (run("irra", f"{arm},24", workdir=tmp_path / arm) for arm in ("sdm", "infonce"))
    metric = "val/identity/vector_to_vector_2_mAP@10"
    assert sdm[metric] > infonce[metric] + 0.03
