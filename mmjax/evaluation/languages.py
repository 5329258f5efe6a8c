"""Consistency over languages: is a record found at the same rank in whatever language it is asked for?"""

import dataclasses
import functools
import itertools

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.names import side_names
from mmjax.evaluation.ranking import retrieval_ranks
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class RankConsistency:
    """How much the ranks of the same records differ between languages, both ways.

    Of several pictures or captions of a record the first counts, and records that all languages have.

    Attributes:
        source: what is evaluated, as data.source.
        languages: languages of the text streams; none: every text stream is a language of its own.
        captions: template of the captions.
        streams: the picture stream and one or more text streams.
        every: time between evaluations; one more at the end.
    """

    source: str
    languages: tuple = ()
    captions: str = "{txt}"
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __post_init__(self):
        if len(self.streams[1:]) * max(1, len(self.languages)) < 2:
            raise UserError("one language is consistent with itself", remedy="give two or more languages or streams")

    def __call__(self, embeddings: Embeddings) -> Result:
        """`rank_consistency` and R@1, the mean over languages, as `<from>_to_<to>_<metric>`."""
        image, *texts = self.streams
        told = [
            first_rows(embeddings.rows(self.source, stream, captions=self.captions, language=language))
            for stream, language in itertools.product(texts, self.languages or ("",))
        ]
        pictures, records = first_rows(embeddings.rows(self.source, image, captions=self.captions))
        shared = functools.reduce(np.intersect1d, [records, *(of for _, of in told)])
        if len(shared) < 2:
            raise UserError(f"{len(shared)} records have every language", where=self.source, remedy="name other ones")
        ids, pictures = np.arange(len(shared)), pictures[np.searchsorted(records, shared)]
        metrics, chance = {}, {}
        for back in (False, True):
            ranks, names = [], side_names((image, texts[0]))[:: -1 if back else 1]
            for vectors, of in told:
                x, y = (pictures, vectors[np.searchsorted(of, shared)])[:: -1 if back else 1]
                ranks.append(retrieval_ranks(x, y, ids, ids, names=names, mesh=embeddings.mesh))
            measured = rank_consistency(ranks) | {"R@1": float(np.mean(np.array(ranks) == 0))}
            metrics |= {f"{names[0]}_to_{names[1]}_{name}": value for name, value in measured.items()}
            chance[f"{names[0]}_to_{names[1]}_R@1"] = 1 / len(shared)
        return Result(metrics, chance)


def rank_consistency(ranks) -> dict[str, float]:
    """`MRV` and `rank_std`: the mean over records of the variance, and of the standard deviation, of their ranks.

    The mean rank variance of Nie et al. 2024 (arXiv 2406.18254), 1/N sum_i Var_k(rank_ik) over languages k, population
    form; 0 where a record has the same rank in all. Their released code calls the standard deviation MRV.

    Args:
        ranks: (languages, records), two or more languages.

    Raises:
        UserError: another shape.
    """
    ranks = np.asarray(ranks, np.float64)
    if ranks.ndim != 2 or len(ranks) < 2 or not ranks.shape[1]:
        raise UserError(f"ranks of shape {ranks.shape}", remedy="give (languages, records), two or more languages")
    variance = ranks.var(axis=0)
    return {"MRV": float(variance.mean()), "rank_std": float(np.sqrt(variance).mean())}
