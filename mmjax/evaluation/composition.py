"""Composition: two pictures (or sounds, clips) and two captions of the same words; each is to find its own.

Winoground's scores (Thrush et al. 2022, arXiv 2204.03162), for sounds CompA's (Ghosh et al. 2023, arXiv 2310.08753).
"""

import dataclasses

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embedded, Embeddings
from mmjax.evaluation.names import side_names
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class Composition:
    """Composition scores of records that hold two pictures and two captions, or of pairs of records.

    Two records are a pair if the second caption of each is the first caption of the other, such as "a dog left of a
    cat" and "a cat left of a dog"; every record is in one pair at most.

    Attributes:
        source: what is evaluated, as data.source.
        captions: templates of the two captions.
        image_keys: endings of the two members that a record holds, the first for the first caption; none: pairs of
            records, whose first caption is the true one.
        language: of captions that come in several; empty: the first that the stream takes.
        streams: the stream that is described and the text stream.
        every: time between evaluations; one more at the end.
    """

    source: str
    captions: tuple = ("{caption}", "{swapped}")
    image_keys: tuple = ()
    language: str = ""
    streams: tuple = ("image", "text")
    every: str = "25%"

    def __post_init__(self):
        if len(self.captions) != 2 or len(self.image_keys) not in (0, 2):
            what = f"{len(self.captions)} captions and {len(self.image_keys)} members"
            raise UserError(what, remedy="give two templates, and two endings or none")

    def __call__(self, embeddings: Embeddings) -> Result:
        """`text_score`, `image_score` (or `audio_score`, ...), `group_score`, and `pairs`, how many were compared."""
        described, text = self.streams
        told = [
            embeddings.rows(self.source, text, captions=template, language=self.language) for template in self.captions
        ]
        if self.image_keys:
            shown = [embeddings.rows(self.source, described, keys=(key,)) for key in self.image_keys]
            pictures, texts = _within_records(shown, told)
        else:
            pictures, texts = _between_records(embeddings.rows(self.source, described, language=self.language), told)
        if not len(pictures):
            what = "no two pictures and captions of the same words"
            raise UserError(what, where=self.source, remedy="name captions whose exchange is the caption of another")
        scores = composition_scores(np.einsum("nid,njd->nij", pictures, texts), name=side_names((described,))[0])
        chance = dict(zip(scores, (1 / 4, 1 / 4, 1 / 6), strict=True))
        return Result(scores | {"pairs": float(len(pictures))}, chance)


def composition_scores(similarity, *, name: str = "image") -> dict[str, float]:
    """The shares of pairs solved, under `text_score`, `<name>_score` and `group_score`.

    - text: for both pictures, their own caption is nearer than the other one;
    - <name>: for both captions, their own picture is nearer than the other one;
    - group: both. A draw is a failure. Chance is 1/4, 1/4 and 1/6.

    Args:
        similarity: (N, 2, 2), [n, i, j] of picture i and caption j of pair n.
        name: what takes the place of the pictures.

    Raises:
        UserError: another shape, no pair, or a similarity that is not finite.
    """
    s = np.asarray(similarity)
    if s.ndim != 3 or s.shape[1:] != (2, 2) or not len(s) or not np.isfinite(s).all():
        raise UserError(f"similarities of shape {s.shape}", remedy="give finite ones, (pairs, 2, 2)")
    text = (s[:, 0, 0] > s[:, 0, 1]) & (s[:, 1, 1] > s[:, 1, 0])
    picture = (s[:, 0, 0] > s[:, 1, 0]) & (s[:, 1, 1] > s[:, 0, 1])
    solved = {"text_score": text, f"{name}_score": picture, "group_score": text & picture}
    return {score: float(np.mean(pairs)) for score, pairs in solved.items()}


def match_captions(true: list[str], other: list[str]) -> np.ndarray:
    """(P, 2) rows i, j with other[i] == true[j] and other[j] == true[i], in order; every row once at most."""
    waiting: dict[tuple[str, str], list[int]] = {}
    pairs = []
    for row, (own, foil) in enumerate(zip(true, other, strict=True)):
        if own == foil:
            continue
        if partners := waiting.get((foil, own)):
            pairs.append((partners.pop(0), row))
        else:
            waiting.setdefault((own, foil), []).append(row)
    return np.array(pairs, np.int64).reshape(-1, 2)


def _within_records(shown, told):
    """(N, 2, D) pictures and captions of the records that hold all four."""
    sides = [first_rows(side) for side in (*shown, *told)]
    records = sides[0][1]
    for _, others in sides[1:]:
        records = np.intersect1d(records, others)
    found = [vectors[np.searchsorted(of, records)] for vectors, of in sides]
    return np.stack(found[:2], 1), np.stack(found[2:], 1)


def _between_records(shown: Embedded, told: list[Embedded]):
    """(N, 2, D) pictures and captions of pairs of records."""
    pictures, records = first_rows(shown)
    texts = [dict(zip(side.records[::-1].tolist(), side.rows[::-1], strict=True)) for side in told]
    have = [r for r in records.tolist() if r in texts[0] and r in texts[1]]
    pairs = match_captions(*([of[r].text for r in have] for of in texts))
    at = np.searchsorted(records, np.array(have, np.int64)[pairs])
    own, of = first_rows(told[0])
    captions = own[np.searchsorted(of, np.array(have, np.int64)[pairs])]
    return pictures[at], captions
