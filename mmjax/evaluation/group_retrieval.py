"""Retrieval between one stream and groups of others by the tokens of all members of a group."""

import dataclasses
import functools

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import EmbeddedTokens
from mmjax.evaluation.names import base_names
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_recall
from mmjax.evaluation.token_retrieval import learned_score, prepared, ranked, score_matrices


@dataclasses.dataclass(frozen=True)
class GroupRetrieval:
    """Retrieval between the first stream of an objective of kind grouped_tokens and each of `groups`, by its score.

    Only records that have all streams count, so that the groups are asked the same. Of several captions or pictures of
    a record the first is taken.

    Attributes:
        source: what is evaluated, as data.source.
        objective: name of the objective in config.objectives.
        groups: tuples of its streams; none: each alone, and all together, whatever the objective was trained on.
        captions: template of the captions.
        language: of captions and sounds that come in several; empty: the first that the stream takes.
        every: time between evaluations; one more at the end.
    """

    source: str
    objective: str
    groups: tuple = ()
    captions: str = "{txt}"
    language: str = ""
    every: str = "100%"

    def __call__(self, embeddings) -> Result:
        """R@K, ranks and MRR such as text_to_image+image_2_R@1, and the way back."""
        streams, score, params = learned_score(embeddings, self.objective)
        anchor, others = streams[0], tuple(streams[1:])
        groups = self.groups or tuple(dict.fromkeys([*((s,) for s in others), others]))
        for group in groups:
            if isinstance(group, str) or not group or not set(group) <= set(others):
                remedy = f"name some of {', '.join(others)} in each group"
                raise UserError(f"{group!r} is no group", where=f"objective {self.objective!r}", remedy=remedy)
        asked = {"captions": self.captions, "language": self.language}
        sides = [first_tokens(embeddings.tokens(self.source, s, **asked)) for s in streams]
        sides = dict(zip(streams, in_common(sides, self.source), strict=True))
        names = dict(zip(streams, base_names(embeddings, streams), strict=True))
        metrics, chance = {}, {}
        x = prepared(score, params, sides[anchor], True)
        for group in groups:
            y = prepared(score, params, functools.reduce(_together, [sides[s] for s in group]), False)
            there, back = score_matrices(score, x, y, params)
            ids, pair = sides[anchor].records, (names[anchor], "+".join(names[s] for s in group))
            metrics |= ranked(there, ids, ids, names=pair) | ranked(back.T, ids, ids, names=pair[::-1])
            chance |= chance_recall(ids, ids, names=pair)
        return Result(metrics, chance)


def first_tokens(side: EmbeddedTokens) -> EmbeddedTokens:
    """The first row of each record, records ascending."""
    _, first = np.unique(side.records, return_index=True)
    return EmbeddedTokens(*(array[first] for array in side))


def in_common(sides: list[EmbeddedTokens], source: str) -> list[EmbeddedTokens]:
    """The rows of each side for the records that all sides have; UserError if there are none."""
    shared = functools.reduce(np.intersect1d, [side.records for side in sides])
    if not len(shared):
        raise UserError("no record has all streams", where=source, remedy="evaluate a source that has them together")
    return [EmbeddedTokens(*(array[np.searchsorted(side.records, shared)] for array in side)) for side in sides]


def _together(x: EmbeddedTokens, y: EmbeddedTokens) -> EmbeddedTokens:
    """The tokens of both as those of one."""
    tokens, mask = (np.concatenate([a, b], axis=1) for a, b in zip(x[:2], y[:2], strict=True))
    return x._replace(tokens=tokens, mask=mask)
