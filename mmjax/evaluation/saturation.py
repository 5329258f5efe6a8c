"""How two modalities' alignment grows with what is seen of either, and where it would end (arXiv 2511.02767)."""

import dataclasses
import functools
import itertools
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from mmjax.errors import UserError
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.platonic import cka, cknna, mutual_knn
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class Platonic:
    """How alike two streams represent the same records, as more pictures (frames) and captions of each are averaged.

    Attributes:
        source: what is evaluated, as data.source.
        views: up to how many rows of the first stream are averaged, such as pictures or frames; records with fewer are
            left out.
        captions: templates, one caption each; records that lack one are left out.
        languages: one caption of every template in each; empty: the first that the stream takes.
        k: neighbours of mutual k-NN and CKNNA.
        streams: the two streams.
        every: time between evaluations; one more at the end.
    """

    source: str
    views: int = 1
    captions: tuple = ("{txt}",)
    languages: tuple = ("",)
    k: int = 10
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __post_init__(self):
        if self.views < 1 or not self.captions or not self.languages:
            raise UserError("nothing to average", remedy="give at least one view, one template and one language")

    def __call__(self, embeddings: Embeddings) -> Result:
        """`mutual_knn_<n>x<m>` of n views and m captions; `cka` and `cknna` of all; the fit where there are enough.

        The fit's metrics, from six combinations on: `limit` and `fit_r2` of `fit_saturation`.
        """
        views, texts = self.sides(embeddings)
        scores = {
            (n, m): mutual_knn(views[:, :n].mean(1), texts[:, :m].mean(1), k=self.k, mesh=embeddings.mesh)
            for n, m in itertools.product(range(1, views.shape[1] + 1), range(1, texts.shape[1] + 1))
        }
        metrics = {f"mutual_knn_{n}x{m}": score for (n, m), score in scores.items()}
        chance = dict.fromkeys(metrics, self.k / (len(views) - 1))
        means = views.mean(1), texts.mean(1)
        metrics |= {"cka": cka(*means), "cknna": cknna(*means, k=self.k, mesh=embeddings.mesh)}
        if len(scores) > PARAMETERS:
            fit = fit_saturation(*np.array(list(scores)).T, list(scores.values()))
            metrics |= {"limit": fit.limit, "fit_r2": fit.r2}
        return Result(metrics, chance)

    def sides(self, embeddings: Embeddings) -> tuple[np.ndarray, np.ndarray]:
        """(N, views, D) and (N, captions, D) unit rows of the records that have them all."""
        first, second = self.streams
        seen = embeddings.rows(self.source, first)
        told = [
            first_rows(embeddings.rows(self.source, second, captions=template, language=language))
            for language, template in itertools.product(self.languages, self.captions)
        ]
        views, records = first_views(seen.vectors, seen.records, self.views)
        shared = functools.reduce(np.intersect1d, [records, *(of for _, of in told)])
        if len(shared) <= self.k:
            what = f"{len(shared)} records have {self.views} of {first!r} and every caption"
            raise UserError(what, where=self.source, remedy=f"ask for fewer; {self.k} neighbours take more records")
        texts = [vectors[np.searchsorted(of, shared)] for vectors, of in told]
        return views[np.searchsorted(records, shared)], np.stack(texts, axis=1)


def first_views(vectors, records, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(R, count, D): the first rows of every record that has so many, and those records (R,), ascending."""
    order = np.argsort(records, kind="stable")
    found, first, rows = np.unique(records[order], return_index=True, return_counts=True)
    enough = rows >= count
    return vectors[order[first[enough][:, None] + np.arange(count)]], found[enough]


class Saturation(NamedTuple):
    """score = limit - (views_gain * views^-views_power + texts_gain * texts^-texts_power), and how well it fits."""

    limit: float
    views_gain: float
    views_power: float
    texts_gain: float
    texts_power: float
    r2: float


PARAMETERS = 5


def fit_saturation(views, texts, scores) -> Saturation:
    """The least-squares fit of the paper's additive power law to alignment scores.

    Scores are shares: the limit is held within [0, 1], gains and powers at 0 or above. Far from saturation the law is
    hardly determined; `r2` and a limit at 1 tell.

    Args:
        views, texts: (N,) how many of each were seen, 1 or more; N at least 6, for five parameters.
        scores: (N,) the alignment measured.

    Raises:
        UserError: fewer scores, numbers below 1, or scores that are all equal.
    """
    views, texts, scores = (np.asarray(a, np.float64) for a in (views, texts, scores))
    if len(scores) <= PARAMETERS or min(views.min(), texts.min()) < 1 or not np.ptp(scores):
        raise UserError(f"no fit of {PARAMETERS} parameters to these {len(scores)} scores", remedy="measure more")

    def error(p):
        return p[0] - (p[1] * views ** -p[2] + p[3] * texts ** -p[4]) - scores

    bounds = [0, 0, 0, 0, 0], [1, np.inf, 10, np.inf, 10]
    spread = np.ptp(scores)
    starts = [[min(scores.max() + spread / 4, 1), spread / 2, a, spread / 2, b] for a in (0.3, 1) for b in (0.3, 1)]
    best = min((least_squares(error, start, bounds=bounds) for start in starts), key=lambda fit: fit.cost)
    r2 = 1 - 2 * best.cost / np.sum((scores - scores.mean()) ** 2)
    return Saturation(*map(float, best.x), r2=float(r2))
