"""What a few seeds say: mean and spread, and paired differences with a bootstrap interval and a plain verdict."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
LEAST_SEEDS = 3
# By the last part of a metric's name. Of anything else, such as a gap or a uniformity, more is neither good nor bad.
MORE_IS_BETTER = re.compile(
    r"(.*_)?(R@\d+|mAP(@\d+)?|MRR|top\d+|acc\d+|accuracy|mean_per_class_recall|auroc|spearman|word_precision@\d+|"
    r"score)",
    re.I,
)
LESS_IS_BETTER = re.compile(r"(.*_)?(mean_rank|median_rank|fpr95|MRV|rank_std|MRR_drop)", re.I)


class Difference(NamedTuple):
    """Mean of the differences of `seeds` pairs of runs, and the bounds of its interval."""

    mean: float
    low: float
    high: float
    seeds: int


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1) of one or more values; of one value the deviation is NaN."""
    values = np.asarray(values, np.float64)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float], *, level: float = 0.95
) -> Difference | None:
    """The difference of two cells over the seeds that both have; None if there is none.

    The interval is the percentile bootstrap of the mean difference (Efron 1979), with resamples of a fixed seed, so
    that it is the same each time. Of three seeds it is the range of the three differences: a resample of one value
    alone has the probability 1/27, more than the 2.5 % cut off on either side.

    Args:
        values, baseline: seed -> value.
        level: share of the bootstrap distribution inside the interval.
    """
    seeds = sorted(values.keys() & baseline.keys())
    if not seeds:
        return None
    differences = np.array([values[s] - baseline[s] for s in seeds], np.float64)
    draws = np.random.default_rng(0).integers(len(seeds), size=(RESAMPLES, len(seeds)))
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(differences[draws].mean(axis=1), tails, method="inverted_cdf")
    return Difference(float(differences.mean()), float(low), float(high), len(seeds))


def better_sign(metric: str) -> int:
    """1 if more of a metric is better, -1 if less is, 0 if neither."""
    name = metric.rsplit("/", 1)[-1]
    return 1 if MORE_IS_BETTER.fullmatch(name) else -1 if LESS_IS_BETTER.fullmatch(name) else 0


def verdict(difference: Difference, metric: str) -> str:
    """ "better" or "worse" if the interval leaves out 0 ("higher", "lower" where neither is better), in plain words."""
    if difference.seeds < LEAST_SEEDS:
        return "too few seeds"
    if difference.low <= 0 <= difference.high:
        return "no difference shown"
    up = difference.low > 0
    sign = better_sign(metric)
    if not sign:
        return "higher" if up else "lower"
    return "better" if up == (sign > 0) else "worse"
