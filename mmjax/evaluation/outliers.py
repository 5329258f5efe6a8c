"""Out of distribution: is a picture of none of the classes less like any of them than one that belongs?"""

import dataclasses

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.result import Result
from mmjax.evaluation.sentences import mean_ranks
from mmjax.evaluation.zeroshot import SIMPLE_TEMPLATES, class_embeddings, prompts


@dataclasses.dataclass(frozen=True)
class Outliers:
    """Telling pictures of known classes from others by the softmax over the known classes' texts (MCM).

    Attributes:
        source: what is evaluated, as data.source.
        outside: a source of which all is unknown; empty: none.
        unknown: classes of `source` that count as unknown.
        label: JSON field that holds the class name.
        templates: texts with `{c}` for the class name; none: the seven simple ones of OpenAI.
        temperature: of the softmax over cosines.
        language: language of the label field if it has several.
        image_keys: endings of the pictures' members; none: those that the stream takes.
        streams: the picture stream and the text stream that encode them.
        every: time between evaluations; one more at the end.
    """

    source: str
    outside: str = ""
    unknown: tuple = ()
    label: str = "cls"
    templates: tuple = ()
    temperature: float = 1.0
    language: str = "en"
    image_keys: tuple = ()
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __post_init__(self):
        if not self.outside and not self.unknown:
            raise UserError("nothing is unknown", remedy="give outside='SOURCE' or unknown=('CLASS',)")

    def __call__(self, embeddings: Embeddings) -> Result:
        """`auroc` and `fpr95` of `mcm_scores`."""
        image, text = self.streams
        pictures = embeddings.rows(self.source, image, keys=self.image_keys)
        labels = np.array(embeddings.labels(self.source, self.label, pictures.records, self.language))
        known = ~np.isin(labels, self.unknown)
        missing = set(self.unknown) - set(labels.tolist())
        if missing:
            raise UserError(f"no picture of the class {min(missing)!r}", where=self.source)
        if not known.any():
            raise UserError("every class is unknown", where=self.source, remedy="leave some known")
        texts = prompts(sorted(set(labels[known].tolist())), self.templates or SIMPLE_TEMPLATES)
        vectors = embeddings.texts([t for row in texts for t in row], stream=text)
        classes = class_embeddings(vectors.reshape(len(texts), len(texts[0]), -1))
        others = [pictures.vectors[~known]]
        if self.outside:
            others.append(embeddings.rows(self.outside, image, keys=self.image_keys).vectors)
        inside, outside = (
            mcm_scores(x, classes, temperature=self.temperature)
            for x in (pictures.vectors[known], np.concatenate(others))
        )
        return Result(
            {"auroc": auroc(inside, outside), "fpr95": fpr_at(inside, outside)}, {"auroc": 0.5, "fpr95": 0.95}
        )


def mcm_scores(images, classes, *, temperature: float = 1.0) -> np.ndarray:
    """(N,) the greatest probability of a softmax over cosine / temperature; the more, the more known.

    Maximum concept matching (Ming et al. 2022, arXiv 2211.13445), whose temperature is 1.

    Args:
        images: (N, D) unit rows.
        classes: (C, D) unit rows of the known classes, two or more.

    Raises:
        UserError: a single class, a temperature not above 0, arrays that do not fit together or are not finite.
    """
    images, classes = inputs.pair(images, classes, ("image", "class"))
    if len(classes) < 2 or temperature <= 0:
        raise UserError(f"softmax over {len(classes)} classes at temperature {temperature}", remedy="give two or more")
    logits = images.astype(np.float64) @ classes.T.astype(np.float64) / temperature
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


def auroc(inside, outside) -> float:
    """The probability that a known thing scores above an unknown one; a draw counts as a half.

    The area under the ROC curve, the same as scikit-learn's `roc_auc_score`.

    Args:
        inside, outside: (N,), (M,) scores, greater for what is known.

    Raises:
        UserError: a side without scores, or a score that is not finite.
    """
    inside, outside = _scores(inside, outside)
    ranks = mean_ranks(np.concatenate([inside, outside]))[: len(inside)]
    return float((ranks.sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside)))


def fpr_at(inside, outside, *, recall: float = 0.95) -> float:
    """The share of unknown things that pass the highest threshold at which `recall` of the known ones pass (FPR95).

    A score equal to the threshold passes. Arguments and errors as for `auroc`.
    """
    inside, outside = _scores(inside, outside)
    threshold = np.sort(inside)[len(inside) - int(np.ceil(recall * len(inside)))]
    return float(np.mean(outside >= threshold))


def _scores(inside, outside):
    sides = [np.asarray(side, np.float64).ravel() for side in (inside, outside)]
    if not all(len(side) and np.isfinite(side).all() for side in sides):
        raise UserError(f"{len(sides[0])} known and {len(sides[1])} unknown scores", remedy="give finite ones of both")
    return sides
