"""Means, paired differences and verdicts against numbers worked out by hand and by enumeration."""

import itertools
import math

import numpy as np
import pytest

from mmjax.experiments.statistics import Difference, better_sign, mean_sd, paired_difference, verdict


def test_mean_and_sample_deviation():
    assert mean_sd([1.0, 2.0, 6.0]) == (3.0, pytest.approx(math.sqrt((4 + 1 + 9) / 2)))
    mean, sd = mean_sd([4.0])
    assert mean == 4.0 and math.isnan(sd)


def test_differences_are_paired_by_seed_and_need_a_common_one():
    treated, base = {0: 1.0, 1: 5.0, 2: 9.0, 7: 100.0}, {2: 8.0, 1: 3.0, 0: 0.0, 9: -100.0}
    found = paired_difference(treated, base)
    assert (found.mean, found.seeds) == (pytest.approx(4 / 3), 3)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
    assert paired_difference({}, {}) is None


def test_the_interval_of_three_seeds_is_their_range():
    found = paired_difference({0: 0.2, 1: 0.5, 2: -0.1}, dict.fromkeys(range(3), 0.0))
    assert (found.low, found.high) == (pytest.approx(-0.1), pytest.approx(0.5))


def test_the_interval_is_that_of_all_resamples():
    """With five seeds all 3125 resamples can be listed; 10,000 drawn ones give their quantiles nearly."""
    differences = [0.3, -0.4, 1.2, 0.8, 0.1]
    found = paired_difference(dict(enumerate(differences)), dict.fromkeys(range(5), 0.0))
    means = [np.mean(some) for some in itertools.product(differences, repeat=5)]
    np.testing.assert_allclose((found.low, found.high), np.quantile(means, [0.025, 0.975]), atol=0.03)
    assert found == paired_difference(dict(enumerate(differences)), dict.fromkeys(range(5), 0.0))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = paired_difference(dict(enumerate(rng.normal(2.0, 1.0, 20))), dict.fromkeys(range(20), 0.0))
        hits += found.low <= 2.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.98  # a percentile bootstrap of 20 values is a little short


@pytest.mark.parametrize(
    ("low", "high", "metric", "said"),
    [
        (0.1, 0.3, "val/unseen/image_to_text_R@1", "better"),
        (-0.3, -0.1, "val/unseen/image_to_text_R@1", "worse"),
        (0.1, 0.3, "val/unseen/image_to_text_mean_rank", "worse"),
        (-0.3, -0.1, "val/ood/fpr95", "better"),
        (0.1, 0.3, "val/ood/auroc", "better"),
        (0.1, 0.3, "val/gap/modality_gap", "higher"),
        (-0.3, -0.1, "val/gap/modality_gap", "lower"),
        (-0.1, 0.3, "val/unseen/acc1", "no difference shown"),
        (0.0, 0.0, "val/unseen/acc1", "no difference shown"),
    ],
)
def test_verdicts(low, high, metric, said):
    assert verdict(Difference((low + high) / 2, low, high, 3), metric) == said


def test_two_seeds_are_too_few():
    assert verdict(Difference(1.0, 0.9, 1.1, 2), "val/x/acc1") == "too few seeds"


def test_which_way_is_better_is_told_by_the_last_part_of_the_name():
    assert better_sign("val/R@1/modality_gap") == 0
    assert better_sign("val/x/image+text_to_image_2_R@10") == better_sign("val/x/oti_to_image_mAP") == 1
    assert better_sign("val/x/vector_score") == better_sign("val/x/bridge_to_old/vector_R@1") == 1
    assert better_sign("val/x/image_to_text_MRV") == better_sign("val/x/image_to_text_rank_std") == -1
    assert better_sign("val/x/MRR") == 1 and better_sign("val/x/MRR_drop") == -1
    assert better_sign("train/loss") == 0  # losses of different objectives are not of one kind
