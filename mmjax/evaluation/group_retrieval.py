"""Retrieval between one stream and groups of others by the tokens of all members of a group."""

import dataclasses
import functools

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import EmbeddedTokens
from mmjax.evaluation.names import base_names
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_recall
from mmjax.evaluation.token_retrieval import learned_score, token_retrieval, token_score


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
        """The metrics of `mmjax.evaluation.retrieval`, such as text_to_image+image_2_R@1, and the way back."""
        streams, score, params = learned_score(embeddings, self)
        anchor, others = streams[0], tuple(streams[1:])
        groups = self.groups or tuple(dict.fromkeys([*((s,) for s in others), others]))
        asked = {"captions": self.captions, "language": self.language}
        sides = [first_tokens(embeddings.tokens(self.source, s, **asked)) for s in streams]
        sides = dict(zip(streams, in_common(sides, self.source), strict=True))
        names = dict(zip(streams, base_names(embeddings, streams), strict=True))
        metrics, chance, x = {}, {}, sides[anchor]
        for group in groups:
            y = functools.reduce(_together, [sides[s] for s in group])
            pair = names[anchor], "+".join(names[s] for s in group)
            metrics |= token_retrieval(score, params, x, y, names=pair, mesh=embeddings.mesh)
            chance |= chance_recall(x.records, y.records, names=pair)
        return Result(metrics, chance)

    def check(self, part) -> None:
        """Raise `UserError` for an objective without a score of tokens, or groups of others than its streams."""
        token_score(part, self.objective)
        others = part.streams[1:]
        for group in self.groups:
            if isinstance(group, str) or not group or not set(group) <= set(others):
                remedy = f"name some of {', '.join(others)} in each group"
                raise UserError(f"{group!r} is no group", where=f"objective {self.objective!r}", remedy=remedy)


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
