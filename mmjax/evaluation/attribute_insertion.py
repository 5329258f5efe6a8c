"""How much worse captions find their pictures once an attribute is inserted before their nouns.

XMAI (Ramshetty et al. 2023, arXiv 2306.11065): robustness to a change that a human would call harmless.
"""

import dataclasses
import itertools
from collections import Counter

import numpy as np

from mmjax.data.captions import all_captions, text_fields
from mmjax.data.sources import open_source
from mmjax.errors import UserError
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.ranking import retrieval_ranks
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class AttributeInsertion:
    """Retrieval of pictures by captions, by these with true attributes inserted, and with those of XMAI's choice.

    Before each noun there comes the candidate with the largest sum of three numbers, each scaled to 0 .. 1 over the
    candidates of that noun: how often it stands before the noun in `corpus`, which takes the place of a masked language
    model; how near it is to one of the true attributes (cosine of the text tower); and how far the caption with it is
    from the picture (1 - cosine).

    Attributes:
        source: what is evaluated, as data.source.
        captions: template of the captions, which names the nouns and no attribute.
        nouns: fields of `captions` before which something is inserted, in this order.
        attributes: fields that hold the true attributes of each of `nouns`.
        corpus: template of the captions of the same records that tell which words stand before a noun.
        candidates: the most frequent words before a noun, this many.
        weights: of the three numbers.
        streams: the picture stream and the text stream.
        every: time between evaluations; one more at the end.
    """

    source: str
    captions: str
    nouns: tuple
    attributes: tuple
    corpus: str = "{caption}"
    candidates: int = 8
    weights: tuple = (1.0, 1.0, 1.0)
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __post_init__(self):
        missing = [noun for noun in self.nouns if f"{{{noun}}}" not in self.captions]
        if missing or not self.nouns or len(self.nouns) != len(self.attributes) or len(self.weights) != 3:
            what = f"nouns {self.nouns}, attributes {self.attributes}, weights {self.weights}"
            remedy = "name nouns of the template, attributes of each, and three weights"
            raise UserError(what, where=f"captions {self.captions!r}", remedy=remedy)

    def __call__(self, embeddings: Embeddings) -> Result:
        """`MRR`, `R@1` of the captions, `true_*` and `inserted_*` of the others, `MRR_drop` by insertion, as a share of
        MRR, and `true_share` of the inserted words that are true."""
        pictures, records = first_rows(embeddings.rows(self.source, self.streams[0]))
        if len(records) < 2:
            raise UserError("a gallery of one picture answers every query", where=self.source, remedy="evaluate more")
        source = open_source(self.source)
        fields = [text_fields(source[r]) for r in records.tolist()]
        for record, name in itertools.product(range(len(fields)), itertools.chain(*self.attributes)):
            if name not in fields[record]:
                what = f"sample {records[record]} has no field {name!r}"
                raise UserError(what, where=self.source, remedy="name other attributes")
        embed = Texts(embeddings, self.streams[1])
        told = [[self.captions] * len(fields), self._with_true(fields), self._inserted(fields, pictures, embed)]
        metrics = {}
        for prefix, templates in zip(("", "true_", "inserted_"), told, strict=True):
            texts = embed([_filled(f, t) for f, t in zip(fields, templates, strict=True)])
            ranks = retrieval_ranks(texts, pictures, records, records, names=("text", "image"), mesh=embeddings.mesh)
            metrics |= {f"{prefix}MRR": float(np.mean(1 / (1 + ranks))), f"{prefix}R@1": float(np.mean(ranks == 0))}
        metrics["MRR_drop"] = 1 - metrics["inserted_MRR"] / metrics["MRR"]
        metrics["true_share"] = self._true_share(fields, told[2])
        return Result(metrics)

    def _with_true(self, fields):
        """The template with the first attribute of each noun before it, for every record."""
        return [self._insert([str(f[names[0]]) for names in self.attributes]) for f in fields]

    def _insert(self, words) -> str:
        """The template with a word before each of the first nouns."""
        template = self.captions
        for noun, word in zip(self.nouns, words, strict=False):
            template = template.replace(f"{{{noun}}}", f"{word} {{{noun}}}", 1)
        return template

    def _inserted(self, fields, pictures, embed) -> list[str]:
        """The template of every record with the chosen words."""
        before = words_before([_filled(f, self.corpus) for f in fields])
        chosen = [[] for _ in fields]
        for noun, names in zip(self.nouns, self.attributes, strict=True):
            options = [before.get(str(f[noun]), Counter()).most_common(self.candidates) for f in fields]
            if not all(options):
                raise UserError(f"nothing stands before some {noun!r}", where=f"corpus {self.corpus!r}")
            texts = [
                [_filled(f, self._insert([*done, word])) for word, _ in some]
                for f, done, some in zip(fields, chosen, options, strict=True)
            ]
            embed.learn([text for some in texts for text in some])
            for i, some in enumerate(options):
                words = [word for word, _ in some]
                likely = np.array([count for _, count in some], float)
                near = (embed(words) @ embed([str(fields[i][name]) for name in names]).T).max(1)
                far = 1 - embed(texts[i]) @ pictures[i]
                chosen[i].append(words[int(np.argmax(insertion_scores(likely, near, far, self.weights)))])
        return [self._insert(words) for words in chosen]

    def _true_share(self, fields, templates) -> float:
        """The share of inserted words that are true of their noun."""
        true = []
        for f, template in zip(fields, templates, strict=True):
            for noun, names in zip(self.nouns, self.attributes, strict=True):
                word = template.split(f" {{{noun}}}")[0].split()[-1]
                true.append(word in {str(f[name]) for name in names})
        return float(np.mean(true))


class Texts:
    """Unit vectors of texts, each embedded once."""

    def __init__(self, embeddings: Embeddings, stream: str):
        self._embeddings, self._stream, self._known = embeddings, stream, {}

    def learn(self, texts) -> None:
        """Embed those that are new, all together."""
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            self._known |= zip(new, self._embeddings.texts(new, stream=self._stream), strict=True)

    def __call__(self, texts) -> np.ndarray:
        """(N, D)."""
        self.learn(texts)
        return np.stack([self._known[text] for text in texts])


def words_before(captions) -> dict[str, Counter]:
    """Word -> how often each other word stands right before it."""
    before: dict[str, Counter] = {}
    for caption in captions:
        words = caption.split()
        for word, following in zip(words, words[1:], strict=False):
            before.setdefault(following, Counter())[word] += 1
    return before


def insertion_scores(likely, near, far, weights):
    """(K,) weighted sum of three rows of numbers over K candidates, each scaled to 0 .. 1, over the weights' sum.

    A row of equal numbers is 1 throughout, as in the released code, and so decides nothing.
    """
    scaled = [_min_max(np.asarray(row, float)) for row in (likely, near, far)]
    return sum(w * row for w, row in zip(weights, scaled, strict=True)) / max(sum(map(abs, weights)), 1)


def _min_max(row):
    span = row.max() - row.min()
    return (row - row.min()) / span if span > 0 else np.ones_like(row)


def _filled(fields, template) -> str:
    return all_captions(fields, template)[0]
