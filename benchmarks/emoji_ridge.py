"""Kernel ridge from pixels to words: the baseline that the emoji quickstart prints beside the trained model.

    python benchmarks/emoji_ridge.py            (extra `bench`; about a minute on one core)

An image is 16x16 box-averaged pixels, a text the TF-IDF of its words and character 4-grams. Ridge regression in the
space of an RBF kernel predicts the text vector of an image; retrieval is by cosine. Kernel width, ridge and the share
of tags in the target are chosen on the validation splits; the test splits are looked at once. Prints JSON and writes
mmjax/data/emoji/ridge.json, which `mmjax` shows in its tables.
"""

import argparse
import hashlib
import io
import itertools
import json
import tarfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sklearn
from PIL import Image
from scipy.linalg import cho_factor, cho_solve
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.pipeline import make_union
from sklearn.preprocessing import normalize

from mmjax.data.emoji import FOLDER, SPLITS, STYLES, shard
from mmjax.evaluation.retrieval import chance_recall, retrieval

GAMMAS = (0.01, 0.03, 0.06)
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0)
TAG_SHARES = (0.0, 0.5, 1.0)
TESTS = ("style", "unseen")


class Split(NamedTuple):
    """The images of a split with the number of the concept of each, and its concepts' texts."""

    pixels: np.ndarray
    concept: np.ndarray
    labels: list[str]
    tags: list[str]


def load(split: str, styles: tuple[str, ...]) -> Split:
    """The split's images in `styles`, (N, 768) in [0, 1], in the order of the tar."""
    pixels, concept, labels, tags = [], [], [], []
    with tarfile.open(shard(split)) as archive:
        for member in archive:
            data = archive.extractfile(member).read()
            if member.name.endswith(".json"):
                text = json.loads(data)
                labels.append(text["label"]["en"])
                tags.append(" ".join(text["tags"]["en"]))
            elif member.name.split(".")[1] in styles:
                pixels.append(box_average(data))
                concept.append(len(labels) - 1)
    return Split(np.stack(pixels), np.array(concept), labels, tags)


def box_average(data: bytes) -> np.ndarray:
    """(768,) the picture's 16x16 means in [0, 1]."""
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64) / 255
    return picture.reshape(16, 4, 16, 4, 3).mean((1, 3)).ravel()


def text_features():
    """TF-IDF of words and of 4-grams within words, one beside the other."""
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    return make_union(words, TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), sublinear_tf=True))


class Ridge:
    """Kernel ridge regression in its dual form: a prediction is a mix of training texts, k (K + ridge I)^-1 T."""

    def __init__(self, train: Split):
        self.train = train
        self.features = text_features().fit(captions(train))
        self.distances = euclidean_distances(train.pixels, squared=True)

    def factor(self, gamma: float, ridge: float) -> "Ridge":
        """Sets the kernel exp(-gamma d^2) and factors the training images' matrix."""
        self.gamma = gamma
        kernel = np.exp(-gamma * self.distances)
        kernel[np.diag_indices_from(kernel)] += ridge
        self.cholesky = cho_factor(kernel, lower=True, overwrite_a=True)
        return self

    def mixture(self, pixels: np.ndarray) -> np.ndarray:
        """(n, N) the weight of each training image's text in the prediction for each of `pixels`."""
        kernel = np.exp(-self.gamma * euclidean_distances(pixels, self.train.pixels, squared=True))
        return cho_solve(self.cholesky, kernel.T).T

    def targets(self, tag_share: float):
        """(N, F) sparse unit rows: the label's vector mixed with that of label and tags."""
        labels, both = (self.features.transform(texts) for texts in (self.train.labels, captions(self.train)))
        return normalize((1 - tag_share) * normalize(labels) + tag_share * normalize(both))[self.train.concept]

    def encode_images(self, pixels: np.ndarray, tag_share: float) -> np.ndarray:
        return normalize(self.mixture(pixels) @ self.targets(tag_share))

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return normalize(self.features.transform(texts)).toarray()


def captions(split: Split) -> list[str]:
    return [f"{label} {tags}" for label, tags in zip(split.labels, split.tags, strict=True)]


def score(model: Ridge, split: Split, tag_share: float) -> dict[str, float]:
    """R@1, 5, 10 in both directions, among the split's labels and images."""
    images = model.encode_images(split.pixels, tag_share).astype(np.float32)
    texts = model.encode_texts(split.labels).astype(np.float32)
    metrics = retrieval(images, texts, split.concept, np.arange(len(split.labels)))
    return {name: round(value, 4) for name, value in metrics.items() if "R@" in name}


def mean_recall(model: Ridge, splits: list[Split], tag_share: float) -> float:
    """What hyper-parameters are chosen by: the mean of all R@K of all validation splits."""
    return float(np.mean([list(score(model, split, tag_share).values()) for split in splits]))


def run(styles: tuple[str, ...]) -> dict:
    """Chooses on the validation splits and evaluates the choice on the test splits."""
    model = Ridge(load("train", styles))
    validation = [load(f"validation-{test}", STYLES) for test in TESTS]
    found = []
    for gamma, ridge in itertools.product(GAMMAS, RIDGES):
        model.factor(gamma, ridge)
        found += [(mean_recall(model, validation, share), gamma, ridge, share) for share in TAG_SHARES]
    best, gamma, ridge, tag_share = max(found)
    model.factor(gamma, ridge)
    return {
        "images": len(model.train.pixels),
        "chosen": {"gamma": gamma, "ridge": ridge, "tag_share": tag_share},
        "validation_mean_recall": round(best, 4),
        "validation": {test: score(model, split, tag_share) for test, split in zip(TESTS, validation, strict=True)},
        "test": {test: score(model, load(test, STYLES), tag_share) for test in TESTS},
    }


def chance(split: Split) -> dict[str, float]:
    return {k: round(v, 4) for k, v in chance_recall(split.concept, np.arange(len(split.labels))).items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FOLDER / "ridge.json")
    output = parser.parse_args().output
    start = time.monotonic()
    result = {
        "data_sha256": {split: hashlib.sha256(Path(shard(split)).read_bytes()).hexdigest() for split in SPLITS},
        "scikit_learn": sklearn.__version__,
        "chance": {test: chance(load(test, STYLES)) for test in TESTS},
        "all_styles": run(STYLES),
        "noto_and_fluent": run(("noto", "fluent")),
    }
    text = json.dumps(result, indent=1)
    output.write_text(text + "\n")
    print(text)
    print(json.dumps({"seconds": round(time.monotonic() - start, 1)}))


if __name__ == "__main__":
    main()
