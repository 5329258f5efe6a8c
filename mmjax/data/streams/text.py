"""Captions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from html import escape
from typing import ClassVar, NamedTuple

import numpy as np

from mmjax.data.captions import all_captions, check_template, draw_caption, languages_there, some_sentences
from mmjax.data.streams.base import Stream
from mmjax.data.tokenizers import make_tokenizer
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


class CaptionRow(NamedTuple):
    """One caption of a source and the record it belongs to."""

    record: int
    text: str


class Caption(NamedTuple):
    """A caption, and in training the generator that leaves out some of its tokens."""

    text: str
    dropout: np.random.Generator | None = None


@dataclass(frozen=True)
class TextStream(Stream):
    """Captions, of particular templates or languages.

    Attributes:
        captions: caption templates, each with its weight; none: those of data.captions.
        languages: one is drawn for each example; none: those of data.languages.
        sentences: this many random sentences of a training caption, in their order (DreamLIP's sub-captions); 0: all.
        token_dropout: share of a training caption's tokens that are left out, never its first and its last.
    """

    captions: tuple = ()
    languages: tuple = ()
    sentences: int = 0
    token_dropout: float = 0.0

    kind: ClassVar[str] = "text"
    noun: ClassVar[str] = "caption"
    unit: ClassVar[str] = "tokens"
    in_memory: ClassVar[bool] = True

    @cached_property
    def templates(self) -> tuple:
        """(template, weight) pairs."""
        return tuple(self.captions or self.data.captions)

    @cached_property
    def spoken(self) -> tuple:
        """The languages to draw from; one without a name where none is given."""
        return tuple(self.languages or self.data.languages) or ("",)

    @cached_property
    def tokenizer(self):
        """Callable: captions -> (ids, mask)."""
        return shared_tokenizer(self.data.tokenizer, self.data.context)

    def check(self):
        """Raise `UserError` for captions that are no templates, or numbers that cannot be."""
        where = f"config.data.streams.{self.name}"
        if self.captions:
            check_captions(self.captions, f"{where}.captions")
        if self.sentences < 0:
            remedy = "give a number of sentences, or 0 for whole captions"
            raise UserError(f"sentences is {self.sentences}", where=f"{where}.sentences", remedy=remedy)
        if not 0 <= self.token_dropout < 1:
            remedy = "give a share of at least 0 and below 1"
            raise UserError(f"token_dropout is {self.token_dropout}", where=f"{where}.token_dropout", remedy=remedy)

    def open(self):
        """Read the tokenizer."""
        self.tokenizer  # noqa: B018  cached

    def shapes(self):
        """Ids (L,) int32 and their mask (L,) bool."""
        length = self.data.context
        return {"": ((length,), np.int32), "_mask": ((length,), np.bool_)}

    def draw(self, sample, draws):
        """A caption of a random template, in a random language of those that the sample has it in."""
        rng = draws(self.name)
        text = draw_caption(sample.fields(), self.templates, self.spoken, rng)
        if self.sentences:
            text = some_sentences(text, self.sentences, rng)
        return Caption(text, rng if self.token_dropout else None)

    def rows(self, samples, record):
        """The captions of the first template in the first language (see `captions.all_captions`)."""
        texts = all_captions(samples[record].fields(), self.templates[0][0], self.spoken[0])
        return [CaptionRow(record, text) for text in texts]

    def every_row(self, samples, record):
        """The captions of every template in every language that the sample has it in."""
        fields = samples[record].fields()
        asked = [(how, language) for how, _ in self.templates for language in languages_there(fields, how, self.spoken)]
        return [CaptionRow(record, text) for how in asked for text in all_captions(fields, *how)]

    def read(self, samples, row):
        """The caption of a row."""
        return Caption(row.text)

    def narrowed(self, *, captions="", fallback="", language="", **_):
        """With one template, one language."""
        template = captions or ("" if self.captions else fallback)
        check_template(template, f"captions of the stream {self.name!r}")
        chosen = replace(self, captions=((template, 1.0),)) if template else self
        return replace(chosen, languages=(language,)) if language else chosen

    def write(self, batch, places, values) -> Iterator[tuple[int, Unreadable]]:
        """All captions tokenised at once; one without a token is unreadable."""
        ids, mask = self.tokenizer([value.text if value else "" for value in values])
        absent = np.array([value is None for value in values])
        ids[absent], mask[absent] = 0, False
        for row, value in enumerate(values):
            if value and value.dropout is not None:
                self._drop_tokens(ids[row], mask[row], value.dropout)
        batch[self.name][places], batch[f"{self.name}_mask"][places] = ids, mask
        for number in np.flatnonzero(~mask.any(1) & ~absent).tolist():
            yield number, Unreadable("caption has no token", repr(values[number].text))

    def _drop_tokens(self, ids, mask, rng):
        """Leaves out tokens of one row (L,), in place; the first and the last may be a family's special ones."""
        real = np.flatnonzero(mask)
        kept = rng.random(len(real)) >= self.token_dropout
        kept[:1] = kept[-1:] = True
        tokens = ids[real[kept]]
        ids[real], mask[real] = self.tokenizer.pad_id, False
        ids[real[: len(tokens)]], mask[real[: len(tokens)]] = tokens, True

    @property
    def note(self):
        """How many tokens there are."""
        return f"vocabulary {self.tokenizer.vocab_size}"

    def caption(self, value):
        """The caption."""
        return value.text

    def described(self, value):
        """The caption and its number of tokens."""
        return f"{value.text!r} ({self.length(value)})"

    def length(self, value) -> int:
        """Tokens of a caption."""
        return int(self.tokenizer([value.text])[1].sum())

    def html(self, value):
        """The caption and its number of tokens."""
        return f"<p>{escape(value.text)} <small>{self.length(value)} tokens</small></p>"


@lru_cache(8)
def shared_tokenizer(name: str, context: int):
    """The tokenizer of `data.tokenizer`, read once for all streams and sources of a process."""
    return make_tokenizer(name, context)


def check_captions(captions, where: str) -> None:
    """Raise `UserError` unless `captions` are (template, weight) pairs, of templates that can be filled."""
    if not captions or not all(
        isinstance(c, tuple) and len(c) == 2 and isinstance(c[0], str) and c[1] > 0 for c in captions
    ):
        raise UserError(
            f"captions are a tuple of (template, weight) pairs, not {captions!r}",
            where=where,
            remedy='write (("{txt}", 1.0),)',
        )
    for template, _ in captions:
        check_template(template, where)
