"""Emoji in three art styles with labels and tags in 28 languages: the data that ships with the package.

A hash of its family puts a concept into one split (`mmjax.data.emoji.splits`):

- `train`: 841 concepts in all three styles, and those of the two style splits without their Fluent picture.
- `style`: the Fluent pictures of concepts that are trained in the other two styles.
- `unseen`: concepts of which nothing is trained, nor of any sibling.
- `validation-style`, `validation-unseen`: the same two, small, to choose hyper-parameters by.
"""

from pathlib import Path

from mmjax.errors import UserError

SPLITS = ("train", "style", "unseen", "validation-style", "validation-unseen")
STYLES = ("noto", "fluent", "twemoji")
# fmt: off
LANGUAGES = (
    "bn", "da", "de", "en", "en-gb", "es", "es-mx", "et", "fi", "fr", "hi", "hu", "it", "ja",
    "ko", "lt", "ms", "nb", "nl", "pl", "pt", "ru", "sv", "th", "uk", "vi", "zh", "zh-hant",
)
# fmt: on
FOLDER = Path(__file__).parent


def shard(split: str) -> str:
    """The path of the tar of a split.

    Raises:
        UserError: no such split.
    """
    if split not in SPLITS:
        raise UserError(f"no emoji split {split!r}", remedy=f"use one of {', '.join(SPLITS)}")
    return str(FOLDER / f"{split}.tar")
