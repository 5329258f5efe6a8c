"""Fits the two byte-level BPE tokenizers of this folder on the captions of trained concepts alone."""

from collections.abc import Iterator

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import decoders as token_decoders

from mmjax.data.emoji import FOLDER, LANGUAGES

PAD, EOT = "<pad>", "<eot>"
HELD_OUT_LANGUAGE = "it"
PIECES = {"tokenizer.json": 2048, "tokenizer-multilingual.json": 4096}


def captions(descriptions: list[dict], languages: tuple[str, ...]) -> Iterator[str]:
    """Label and tags of each concept in each language, as training joins them."""
    for language in languages:
        for text in descriptions:
            yield ", ".join([text["label"][language], *text["tags"][language]])


def fit(texts: Iterator[str], pieces: int) -> Tokenizer:
    """A byte-level BPE of lower-cased, NFKC-normalised text that ends with `<eot>`.

    Args:
        texts: what to fit on.
        pieces: size of the vocabulary, with 256 bytes, `<pad>` (id 0) and `<eot>` (id 1).
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = token_decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces, special_tokens=[PAD, EOT], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOT}", special_tokens=[(EOT, tokenizer.token_to_id(EOT))]
    )
    return tokenizer


def write_tokenizers(descriptions: list[dict]):
    """Writes `tokenizer.json` (English) and `tokenizer-multilingual.json` (all languages but the held-out one)."""
    rest = tuple(language for language in LANGUAGES if language != HELD_OUT_LANGUAGE)
    for name, languages in zip(PIECES, (("en",), rest), strict=True):
        fit(captions(descriptions, languages), PIECES[name]).save(str(FOLDER / name))
