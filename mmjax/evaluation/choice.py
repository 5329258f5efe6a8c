"""Choice between captions of one sample: does a model see what only some words of a caption say?"""

import dataclasses

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class CaptionChoice:
    """The true caption of a sample against false ones made for it, such as with two words exchanged.

    What such sets as Winoground, ARO and SugarCrepe ask (Thrush et al. 2022, arXiv 2204.03162; Yuksekgonul et al. 2022,
    arXiv 2210.01936; Hsieh et al. 2023, arXiv 2306.14610), for any stream.

    Attributes:
        source: what is evaluated, as data.source.
        captions: template of the true caption.
        foils: templates of the false ones.
        language: of captions that come in several; empty: the first that the stream takes.
        streams: the stream that is described and the text stream.
        every: time between evaluations; one more at the end.
    """

    source: str
    captions: str
    foils: tuple
    language: str = ""
    streams: tuple = ("image", "text")
    every: str = "25%"

    def __post_init__(self):
        if not self.foils:
            raise UserError("no false captions to choose between", remedy='give foils=("{reversed}",)')

    def __call__(self, embeddings: Embeddings) -> Result:
        """`accuracy`: the share of samples that are nearer to their true caption than to every false one."""
        described, text = self.streams
        x = first_rows(embeddings.rows(self.source, described, language=self.language))
        templates = (self.captions, *self.foils)
        choices = [
            first_rows(embeddings.rows(self.source, text, captions=template, language=self.language))
            for template in templates
        ]
        return Result({"accuracy": choice_accuracy(x, choices)}, {"accuracy": 1 / len(templates)})


def choice_accuracy(x, choices) -> float:
    """The share of x that are nearest to their own row of the first of `choices`; a draw among k counts as 1 / k.

    Args:
        x: unit rows (N, D) and their records (N,), ascending and different.
        choices: the same of the true captions, and of each kind of false ones; records that lack one are left out.

    Raises:
        UserError: no record has all of them.
    """
    records = x[1]
    for _, others in choices:
        records = np.intersect1d(records, others)
    if not len(records):
        raise UserError("no sample has all captions that are to choose between")
    own = x[0][np.searchsorted(x[1], records)]
    return share_first(np.stack([(own * y[np.searchsorted(of, records)]).sum(1) for y, of in choices]))


def share_first(scores) -> float:
    """The share of columns of `scores` (choices, N) whose first is the largest; a draw among k counts as 1 / k."""
    best = scores == scores.max(0)
    return float(np.mean(best[0] / best.sum(0)))
