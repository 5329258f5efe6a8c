"""Which stamps are trained on: whole groups of equal English captions, the same share of every category."""

import hashlib
import math
import re
from collections import defaultdict

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
SHARES = {TEST: 0.2, VALIDATION: 0.08}


def assign_splits(stamps) -> dict[str, str]:
    """Split of every stamp by name.

    Stamps of one English caption, whatever its punctuation, are a group, in the category of the first; those without a
    caption are each their own. Of the groups of a category, in the order of a hash of their caption, the first fifth
    is tested, and the next ones are for validation, so that a test of held-out captions meets no trained one.

    Args:
        stamps: all of them, with `name`, `category` and `captions`; in the order of their names.
    """
    groups: dict[str, list] = defaultdict(list)
    for stamp in stamps:
        groups[group_of(stamp)].append(stamp)
    categories: dict[str, list[str]] = defaultdict(list)
    for group, members in groups.items():
        categories[members[0].category].append(group)
    return {
        stamp.name: split
        for names in categories.values()
        for group, split in zip(sorted(names, key=_hash), _in_shares(len(names)), strict=True)
        for stamp in groups[group]
    }


def group_of(stamp) -> str:
    """What stamps that may not be parted have in common."""
    words = re.findall(r"\w+", stamp.captions.get("en", "").casefold())
    return " ".join(words) or f"/{stamp.name}"


def _in_shares(count: int) -> list[str]:
    """The split of each of `count` groups in a row."""
    ends = [math.floor(count * share + 0.5) for share in (SHARES[TEST], SHARES[TEST] + SHARES[VALIDATION])]
    return [TEST] * ends[0] + [VALIDATION] * (ends[1] - ends[0]) + [TRAIN] * (count - ends[1])


def _hash(group: str) -> str:
    return hashlib.sha256(f"tuxpaint:{group}".encode()).hexdigest()
