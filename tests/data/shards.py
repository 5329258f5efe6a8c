"""Small tars as img2dataset writes them, made by Python's own tarfile."""

import io
import json
import tarfile
from types import SimpleNamespace

import numpy as np
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ["a", "red", "green", "blue", "big", "small", "cat", "dog", "tree"]


def picture(number: int, kind: str = "png", size=(20, 16)) -> bytes:
    """A plain picture whose colour tells its number."""
    out = io.BytesIO()
    options = {"lossless": True} if kind == "webp" else {}
    Image.new("RGB", size, (number % 256, number // 256, 7)).save(out, kind, **options)
    return out.getvalue()


def write_tar(path, members, format=tarfile.USTAR_FORMAT) -> str:
    """A tar of (name, bytes) pairs."""
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


def pairs(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    """`count` samples of KEY.png, KEY.txt and KEY.json."""
    members = []
    for n in range(first, first + count):
        members.append((f"{n:09d}.png", picture(n)))
        members.append((f"{n:09d}.txt", f"a {WORDS[n % 9]} {WORDS[n // 9 % 9]}".encode()))
        members.append((f"{n:09d}.json", json.dumps({"key": f"{n:09d}", "tags": WORDS[n % 5 : n % 5 + 4]}).encode()))
    return members


def write_tokenizer(path, specials=True) -> str:
    """A word-level tokenizer: <pad> 0, <s> 1, </s> 2, <unk> 3, then WORDS from 4 on."""
    vocabulary = {word: n for n, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if specials:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    tokenizer.save(str(path))
    return str(path)


def settings(source: str, tokenizer: str, **changes) -> SimpleNamespace:
    """What `config.data` holds."""
    values = {
        "source": source,
        "mixture": {},
        "where": (),
        "unique": "",
        "uids": "",
        "groups": "",
        "label": "",
        "image_keys": (),
        "image_size": 8,
        "resize": "crop",
        "decoder": "pillow",
        "streams": {},
        "augment": {"affine": {"kind": "affine"}, "flip": {"kind": "flip"}},
        "captions": (("{txt}", 1.0),),
        "languages": ("en",),
        "tokenizer": tokenizer,
        "context": 6,
        "threads": 2,
        "workers": 0,
        "prefetch": 4,
        "cache": 256,
        "max_unreadable": 0.01,
    }
    return SimpleNamespace(**(values | changes))


def assert_batches_equal(one: dict, other: dict):
    """The same names, dtypes and bits."""
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name])
