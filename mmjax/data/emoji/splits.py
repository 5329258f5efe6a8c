"""Which split a concept belongs to: a hash of its family, so that siblings never sit on both sides.

"man running", "woman running" and "person running" differ in one word and a few pixels. Split one by one, the last two
in training answer for the first in the test. A family is what is left of the English label without such words.
"""

import hashlib
import re
from collections import Counter

UNSEEN, STYLE, VALIDATION_UNSEEN, VALIDATION_STYLE, TRAIN = (
    "unseen",
    "style",
    "validation-unseen",
    "validation-style",
    "train",
)
SHARES = {UNSEEN: 0.15, STYLE: 0.25, VALIDATION_UNSEEN: 0.05, VALIDATION_STYLE: 0.06}
LARGEST_TESTED_FAMILY = 8

PEOPLE = "man men woman women person people boy boys girl girls child children baby adult"
PORTRAIT = "old older breast santa mrs mx"
MIRRORED = "left right leftwards rightwards"
GLUE = "a and of the with in on s"
DROPPED = frozenset(f"{PEOPLE} {PORTRAIT} {MIRRORED} {GLUE}".split())
# Siblings, or pictures that are nearly one, whose labels differ in a word that counts: what is left -> its family.
SAME = {
    "merman": "merperson",
    "mermaid": "merperson",
    "prince": "crown",
    "princess": "crown",
    "restroom": "room",
    "family": "people",
    "kiss": "couple",
    "couple heart": "couple",
    "holding hands": "couple",
    "speech bubble": "balloon",
    "eye speech bubble": "balloon",
    "anger bubble": "balloon",
    "speech balloon": "balloon",
    "thought balloon": "balloon",
    "snowman without snow": "snowman",
    "star david": "dotted six pointed star",
}


def family(label: str) -> str:
    """The family of an English label: its words before any colon, without those for gender, age and direction.

    What follows a colon tells siblings apart ("kiss: woman, man", "person: red hair", "keycap: 3"). Labels of which
    nothing is left ("old woman", "man: beard") are the family "people".
    """
    words = re.findall(r"[a-z0-9ñ]+", label.lower().split(":")[0])
    rest = " ".join(word for word in words if word not in DROPPED) or "people"
    return SAME.get(rest, rest)


def split_of(family: str, members: int) -> str:
    """The split of a whole family, from a hash of its name.

    Args:
        family: its name, from `family`.
        members: how many concepts it has; a large one is trained, since twenty-odd pictures that are nearly one and
            the same would decide a test split.
    """
    if members > LARGEST_TESTED_FAMILY:
        return TRAIN
    draw = int(hashlib.sha256(f"emoji:{family}".encode()).hexdigest()[:8], 16) / 2**32
    for split, share in SHARES.items():
        draw -= share
        if draw < 0:
            return split
    return TRAIN


def assign(labels: list[str]) -> list[str]:
    """The split of every concept, given all English labels."""
    families = [family(label) for label in labels]
    members = Counter(families)
    return [split_of(name, members[name]) for name in families]
