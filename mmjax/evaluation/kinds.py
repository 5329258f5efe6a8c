"""Evaluations that a config can name: which embeddings go into which metric."""

import dataclasses

import numpy as np

from mmjax.data.captions import check_template
from mmjax.errors import UserError
from mmjax.evaluation.attribute_insertion import AttributeInsertion
from mmjax.evaluation.choice import CaptionChoice
from mmjax.evaluation.code_overlap import CodeOverlap
from mmjax.evaluation.composition import Composition
from mmjax.evaluation.corrected import DBNorm, InvGC
from mmjax.evaluation.cross import CrossRetrieval, XorChoice
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.few_shot import FewShot
from mmjax.evaluation.gap import gap
from mmjax.evaluation.geometry import Geometry, pair_rows
from mmjax.evaluation.group_retrieval import GroupRetrieval
from mmjax.evaluation.inverted_retrieval import InvertedRetrieval
from mmjax.evaluation.knn import knn
from mmjax.evaluation.label_retrieval import LabelRetrieval
from mmjax.evaluation.labelled import labelled_sides
from mmjax.evaluation.languages import RankConsistency
from mmjax.evaluation.lexical import LexicalRetrieval
from mmjax.evaluation.linear_probe import linear_probe
from mmjax.evaluation.names import side_names
from mmjax.evaluation.outliers import Outliers
from mmjax.evaluation.part_composition import PartComposition
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_recall, retrieval
from mmjax.evaluation.saturation import Platonic
from mmjax.evaluation.sentences import SentenceSimilarity
from mmjax.evaluation.stream_composition import StreamComposition
from mmjax.evaluation.text_only import TextOnly
from mmjax.evaluation.token_retrieval import TokenRetrieval
from mmjax.evaluation.zeroshot import SIMPLE_TEMPLATES, class_embeddings, prompts, zero_shot


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """Retrieval between two streams of a source, such as pictures and captions, both ways; every row of each counts.

    Attributes:
        source: what is evaluated, as data.source.
        captions: template of the captions.
        language: of captions and sounds that come in several; empty: the first that the stream takes.
        image_keys: endings of the first stream's members; none: those that the stream takes.
        streams: the two streams.
        every: time between evaluations; one more at the end.
    """

    source: str
    captions: str = "{txt}"
    language: str = "en"
    image_keys: tuple = ()
    streams: tuple = ("image", "text")
    every: str = "25%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `mmjax.evaluation.retrieval`."""
        x, y = self.sides(embeddings)
        names = side_names(self.streams)
        metrics = retrieval(x.vectors, y.vectors, x.records, y.records, names=names, mesh=embeddings.mesh)
        return Result(metrics, chance_recall(x.records, y.records, names=names))

    def sides(self, embeddings: Embeddings):
        """What is embedded of either stream."""
        return both_sides(self, embeddings)


@dataclasses.dataclass(frozen=True)
class ZeroShot:
    """Zero-shot classification of a source's pictures by the values of one of its fields.

    Attributes:
        source: what is evaluated, as data.source.
        label: JSON field that holds the class name.
        templates: texts with `{c}` for the class name; none: the seven simple ones of OpenAI.
        language: language of the label field if it has several.
        image_keys: endings of the pictures' members; none: those that the stream takes.
        streams: the picture stream and the text stream that encode them.
        every: time between evaluations; one more at the end.
    """

    source: str
    label: str = "cls"
    templates: tuple = ()
    language: str = "en"
    image_keys: tuple = ()
    streams: tuple = ("image", "text")
    every: str = "25%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """`acc1`, `acc5`, `mean_per_class_recall`; chance is guessing at random."""
        image, text = self.streams
        pictures = embeddings.rows(self.source, image, keys=self.image_keys)
        labels = embeddings.labels(self.source, self.label, pictures.records, self.language)
        names, numbers = np.unique(labels, return_inverse=True)
        texts = prompts(list(names), self.templates or SIMPLE_TEMPLATES)
        vectors = embeddings.texts([t for row in texts for t in row], stream=text)
        classes = class_embeddings(vectors.reshape(len(texts), len(texts[0]), -1))
        metrics = zero_shot(pictures.vectors, numbers, classes, mesh=embeddings.mesh)
        guess = {"acc1": 1 / len(names), "acc5": 5 / len(names), "mean_per_class_recall": 1 / len(names)}
        return Result(metrics, {k: guess[k] for k in metrics if k in guess})


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Weighted k-nearest-neighbour classification on frozen picture embeddings.

    Attributes:
        train: source of the neighbours, as data.source.
        source: what is evaluated.
        label: JSON field that holds the class.
        k: neighbours that vote.
        temperature: of the votes' weights exp(cosine / temperature).
        image_keys: endings of the pictures' members; none: those that the stream takes.
        streams: the picture stream.
        every: time between evaluations; one more at the end.
    """

    train: str
    source: str
    label: str = "cls"
    k: int = 200
    temperature: float = 0.1
    image_keys: tuple = ()
    streams: tuple = ("image",)
    every: str = "100%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `mmjax.evaluation.knn`."""
        train, train_labels, test, test_labels = labelled_sides(self, embeddings)
        k = min(self.k, len(train))
        metrics = knn(train, train_labels, test, test_labels, k=k, temperature=self.temperature, mesh=embeddings.mesh)
        return Result(metrics)


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """Logistic regression on frozen picture embeddings, its regulariser chosen on a validation part of `train`.

    Attributes:
        train: source that the probe is trained on, as data.source.
        source: what is evaluated.
        label: JSON field that holds the class.
        image_keys: endings of the pictures' members; none: those that the stream takes.
        streams: the picture stream.
        every: time between evaluations; one more at the end.
    """

    train: str
    source: str
    label: str = "cls"
    image_keys: tuple = ()
    streams: tuple = ("image",)
    every: str = "100%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `mmjax.evaluation.linear_probe`."""
        return Result(linear_probe(*labelled_sides(self, embeddings), mesh=embeddings.mesh))


@dataclasses.dataclass(frozen=True)
class Gap:
    """The gap between the two modalities' embeddings, their alignment and uniformity.

    Attributes:
        source: what is evaluated, as data.source.
        captions: template of the captions; the first of a record is its picture's partner.
        language: language of text fields that have several.
        image_keys: endings of the pictures' members; none: those that the stream takes.
        streams: the picture stream and the text stream that encode them.
        every: time between evaluations; one more at the end.
    """

    source: str
    captions: str = "{txt}"
    language: str = "en"
    image_keys: tuple = ()
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `mmjax.evaluation.gap`."""
        x, y = pair_rows(*both_sides(self, embeddings))
        return Result(gap(x, y, names=side_names(self.streams), mesh=embeddings.mesh))


EVALUATIONS = {
    "retrieval": Retrieval,
    "cross_retrieval": CrossRetrieval,
    "group_retrieval": GroupRetrieval,
    "label_retrieval": LabelRetrieval,
    "xor_choice": XorChoice,
    "caption_choice": CaptionChoice,
    "zero_shot": ZeroShot,
    "knn": Neighbours,
    "linear_probe": LinearProbe,
    "gap": Gap,
    "token_retrieval": TokenRetrieval,
    "code_overlap": CodeOverlap,
    "lexical_retrieval": LexicalRetrieval,
    "dbnorm": DBNorm,
    "invgc": InvGC,
    "composition": Composition,
    "stream_composition": StreamComposition,
    "part_composition": PartComposition,
    "attribute_insertion": AttributeInsertion,
    "inverted_retrieval": InvertedRetrieval,
    "few_shot": FewShot,
    "geometry": Geometry,
    "outliers": Outliers,
    "platonic": Platonic,
    "rank_consistency": RankConsistency,
    "sentence_similarity": SentenceSimilarity,
    "text_only": TextOnly,
}

# Kinds whose streams may be more or fewer than those of their defaults.
ANY_NUMBER = (CrossRetrieval, XorChoice, RankConsistency)

# Options that hold one caption template, or several.
TEMPLATES = {"captions", "foils", "first", "second"}


def build_evaluations(config) -> dict:
    """Name -> evaluation of `config.evaluations`; UserError for templates or streams that cannot be what is meant."""
    from mmjax.config import options_of

    for name, entry in config.evaluations.items():
        if "/" in name:
            raise UserError(f"an evaluation cannot be called {name!r}", where="config.evaluations", remedy="drop the /")
        for option in TEMPLATES & set(entry):
            for template in (entry[option],) if isinstance(entry[option], str) else entry[option]:
                check_template(template, f"config.evaluations.{name}")
    built = {name: EVALUATIONS[e.kind](**options_of(e)) for name, e in config.evaluations.items()}
    for name, evaluation in built.items():
        check_sides(evaluation, f"config.evaluations.{name}.streams")
    return built


def check_sides(evaluation, where: str) -> None:
    """Raise `UserError` for more or fewer streams than a kind compares, or one twice, which would only find itself."""
    usual = getattr(type(evaluation), "streams", None)
    if usual is None:
        return
    streams = evaluation.streams
    if len(set(streams)) < len(streams):
        raise UserError(f"a stream stands twice in {tuple(streams)}", where=where, remedy="name each once")
    if not isinstance(evaluation, ANY_NUMBER) and len(streams) != len(usual):
        raise UserError(
            f"{len(streams)} streams: {tuple(streams)}", where=where, remedy=f"name {len(usual)}, as {usual}"
        )


def both_sides(evaluation, embeddings: Embeddings):
    """What is embedded of the two streams of an evaluation with `source`, `captions`, `language` and `image_keys`."""
    first, second = evaluation.streams
    asked = {"captions": evaluation.captions, "language": evaluation.language}
    x = embeddings.rows(evaluation.source, first, keys=evaluation.image_keys, **asked)
    return x, embeddings.rows(evaluation.source, second, **asked)
