"""InvGC and LocalAdj against their sums written out, their limits, and planted hubs."""

import jax
import numpy as np
import pytest
from hub_data import hub_pairs, recall_at_1, unit
from jax.sharding import Mesh
from running import config_of, run

from mmjax.config import validate
from mmjax.errors import UserError
from mmjax.evaluation.corrected import InvGC
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.hubness import hubness
from mmjax.evaluation.inverse_graph import inverse_graph_convolution
from mmjax.evaluation.kinds import build_evaluations

GALLERY, GALLERY_BANK, QUERY_BANK = (
    unit(np.random.default_rng(seed).normal(size=(rows, 6))) for seed, rows in enumerate((13, 20, 30))
)


def written_out(neighbours, rates, centred=False):
    moved = np.zeros(GALLERY.shape)
    for bank, rate in ((GALLERY_BANK, rates[0]), (QUERY_BANK, rates[1])):
        count = int(neighbours * len(bank))
        mean = (GALLERY @ bank.T).mean() if centred else 0.0
        for i, g in enumerate(GALLERY.astype(np.float64)):
            order = sorted(range(len(bank)), key=lambda j: -(g @ bank[j]))[:count]  # noqa: B023
            away = g - rate / count * sum((g @ bank[j] - mean) * bank[j] for j in order)
            moved[i] += away / np.linalg.norm(away)
    return unit(moved)


@pytest.mark.parametrize("neighbours", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("devices", [1, 8])
def test_equals_the_sum_written_out(neighbours, devices):
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    options = {"rate_gallery": 0.7, "rate_query": 1.6, "neighbours": neighbours, "block": 8, "mesh": mesh}
    got = inverse_graph_convolution(GALLERY, GALLERY_BANK, QUERY_BANK, **options)
    np.testing.assert_allclose(got, written_out(neighbours, (0.7, 1.6)), atol=1e-6)


def test_as_released_with_the_mean_similarity_subtracted():
    got = inverse_graph_convolution(GALLERY, GALLERY_BANK, QUERY_BANK, rate_query=2.0, centred=True)
    np.testing.assert_allclose(got, written_out(1.0, (1.0, 2.0), centred=True), atol=1e-6)


def test_no_rate_changes_nothing():
    got = inverse_graph_convolution(GALLERY, GALLERY_BANK, QUERY_BANK, rate_gallery=0.0, rate_query=0.0)
    np.testing.assert_allclose(got, GALLERY, atol=1e-6)


def test_planted_hubs():
    """Measured over seeds 0 to 2, R@1 at rates 1, 2, 5: 64.8, 78.2, 89.1 of 57 raw; LocalAdj does nothing for these."""
    queries, gallery, query_bank, gallery_bank = hub_pairs(0, greatest=0.5)
    move = lambda rate, **o: inverse_graph_convolution(  # noqa: E731
        gallery, gallery_bank, query_bank, rate_gallery=rate, rate_query=rate, **o
    )
    recalls = [recall_at_1(queries, g) for g in (gallery, move(1.0), move(2.0), move(5.0))]
    assert recalls == sorted(recalls) and recalls[0] < 0.6 and recalls[-1] > 0.85
    assert hubness(queries, move(5.0)) < 0.7 * hubness(queries, gallery)
    local = recall_at_1(queries, move(0.3, neighbours=0.01))
    assert abs(local - recalls[0]) < 0.03


class Embeddings:
    """Planted hubs in the gallery of texts."""

    mesh = None

    def rows(self, spec, stream, **_):
        queries, gallery, query_bank, gallery_bank = hub_pairs(1, greatest=0.5, tests=300, bank=600)
        of = {"test": {"image": queries, "text": gallery}, "bank": {"image": query_bank, "text": gallery_bank}}
        return Embedded(of[spec][stream], np.arange(len(of[spec][stream])), [])


def test_an_evaluation_shows_raw_and_corrected():
    metrics = InvGC("test", "bank", rate_gallery=4.0, rate_query=4.0)(Embeddings()).metrics
    assert metrics["image_to_text_R@1"] > metrics["raw_image_to_text_R@1"] + 0.1
    none = InvGC("test", "bank", rate_gallery=0.0, rate_query=0.0)(Embeddings()).metrics
    assert none["image_to_text_R@1"] == none["raw_image_to_text_R@1"] == metrics["raw_image_to_text_R@1"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"neighbours": 0.0}, "0.0 of a gallery bank of 20 rows"),
        ({"neighbours": 0.04}, "0.04 of a gallery bank of 20 rows"),
        ({"neighbours": 1.5}, "1.5 of a gallery bank"),
        ({"neighbours": 0.5, "centred": True}, "centred similarities to 0.5"),
        ({"query_bank": np.ones((3, 9))}, "gallery embeddings are 6 wide and query bank embeddings 9"),
    ],
)
def test_bad_input_is_named(change, says):
    arguments = {"gallery": GALLERY, "gallery_bank": GALLERY_BANK, "query_bank": QUERY_BANK} | change
    with pytest.raises(UserError, match=says):
        inverse_graph_convolution(**arguments)


def test_a_row_that_is_moved_to_nothing_is_named():
    one = np.array([[1.0, 0.0]], np.float32)
    with pytest.raises(UserError, match="leaves nothing of a row"):
        inverse_graph_convolution(one, one, one)


@pytest.mark.parametrize("arg", ["", "raw", "invgc_centred", "local_adj", "full"])
def test_every_arm_is_a_config(arg):
    config = config_of("invgc", arg)
    validate(config)
    assert build_evaluations(config) or arg == "full"


@pytest.mark.slow
def test_the_config_shows_a_loss_where_towers_are_shifted(tmp_path):
    """Seeds 0 to 2: the R@1 of both directions together .019 to .038 below raw's."""
    metrics = run("invgc", workdir=tmp_path)
    directions = ("vector_to_vector_2", "vector_2_to_vector")
    gain = sum(metrics[f"val/shifted/{d}_R@1"] - metrics[f"val/shifted/raw_{d}_R@1"] for d in directions)
    assert gain < 0
