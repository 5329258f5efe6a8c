"""CLIP's tokenizer: byte pairs of lower-cased, mended text (Radford et al. 2021, arXiv 2103.00020)."""

import gzip
import html
import importlib.metadata
import zlib
from pathlib import Path

from mmjax.data.optional import optional
from mmjax.data.tokenizers import LibraryTokenizer
from mmjax.errors import UserError

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
# Packages that carry it; their files are looked up, nothing of them is imported.
PACKAGES = ("open_clip_torch", "laion-clap", "clip", "clip-anytorch", "imgsearch")
MERGES = 49408 - 2 * 256 - 2  # of its 262,144 lines; the rest is not used
MOST_BYTES = 2**24
START, END = "<|startoftext|>", "<|endoftext|>"
LAST = "</w>"  # marks the last piece of a word
# The text is single-spaced before it is split, so that a space is the only white space there is.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^ \p{L}\p{N}]+"


def clip_tokenizer(path: str, context: int) -> LibraryTokenizer:
    """Ids equal to those of open_clip's and OpenAI's tokenizer: start 49406, end 49407, padded with 0.

    One difference: the words "<start_of_text>" and "<end_of_text>" inside a caption are text, never special ids.

    Args:
        path: `bpe_simple_vocab_16e6.txt.gz`, or its text unpacked; empty: taken from an installed package.
        context: number of ids a caption, L; CLIP's models take 77.

    Raises:
        UserError: there is no such file, it is no such vocabulary, or `ftfy` is not installed.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    optional("ftfy", "clip", "CLIP's tokenizer")  # now, and not at the first caption that needs it
    path = Path(path).expanduser() if path else _installed()
    vocabulary, merges = _read(path)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix=LAST))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    ends = [(token, vocabulary[token]) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return LibraryTokenizer(tokenizer, context, 0, mended)


def mended(text: str) -> str:
    """Text as CLIP's tokenizer wants it: mended by ftfy, HTML entities resolved twice, single spaces, lower case."""
    if "&" in text or not (text.isascii() and text.isprintable()):  # ftfy leaves all other text as it is, slowly
        text = optional("ftfy", "clip", "CLIP's tokenizer").fix_text(text)
    return " ".join(html.unescape(html.unescape(text)).split()).lower()


def _installed() -> Path:
    for package in PACKAGES:
        try:
            files = importlib.metadata.files(package) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == VOCABULARY and file.locate().is_file():
                return Path(file.locate())
    raise UserError(
        f"no installed package has {VOCABULARY}",
        where="config.data.tokenizer",
        remedy="pip install --no-deps open_clip_torch, or give the file as clip:PATH",
    )


def _read(path: Path) -> tuple[dict[str, int], list[tuple[str, ...]]]:
    """Piece -> id, and the pairs in the order in which they merge.

    The ids are those of the bytes, of the bytes that end a word, of the merged pairs, and of start and end.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = file.read(MOST_BYTES).decode().split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"no vocabulary: {error}", where=str(path), remedy=f"give {VOCABULARY}") from error
    merges = [tuple(line.split()) for line in lines[1 : 1 + MERGES] if line]
    if not merges or any(len(pair) != 2 for pair in merges):
        raise UserError("no vocabulary: not a pair a line", where=str(path), remedy=f"give {VOCABULARY}")
    letters = _byte_letters()
    pieces = [*letters, *(letter + LAST for letter in letters), *map("".join, merges), START, END]
    return {piece: number for number, piece in enumerate(pieces)}, merges


def _byte_letters() -> list[str]:
    """A printable letter for each byte, in the order of their ids: printable bytes first, as themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(0x100 + number) for number in range(256 - len(printable))]
