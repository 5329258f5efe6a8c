"""The files of Tux Paint's stamps, by stamp: `NAME.png`, `NAME.svg`, `NAME.txt`, `NAME.ogg`, `NAME_desc_fr.ogg`."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PICTURES = ("png", "svg")
SOUNDS = ("ogg", "wav")
# Ready-made mirror images of other stamps: no stamps of their own.
DERIVED = ("_mirror", "_flip")
ENGLISH = "en"
ALPHABETS = "alphabets"
SPOKEN = re.compile(r"(?P<stem>.+?)(?P<desc>_desc)?(?:_(?P<language>[a-z]{2,3}(?:_[A-Za-z]{2})?))?")
CAPTION = re.compile(r"(?P<language>[\w@]+)\.utf8=(?P<caption>.+)")


@dataclass(frozen=True)
class StampFiles:
    """One stamp.

    Attributes:
        name: path from the root, without ending, such as "animals/birds/owl".
        captions: by language; empty for some.
        files: member ("png" or "svg", "sound.ogg", "desc.fr.ogg") -> (path from the root, bytes).
    """

    name: str
    captions: dict[str, str]
    files: dict[str, tuple[str, int]]

    @property
    def category(self) -> str:
        """The uppermost folder; the alphabets, whose captions hardly differ, are one of their own."""
        return ALPHABETS if f"/{ALPHABETS}/" in self.name else self.name.split("/")[0]


def find_stamps(root: Path) -> list[StampFiles]:
    """All stamps below a folder that have a picture, in order of their names; of a picture in both forms the PNG."""
    stamps = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        stamps += _stamps_of(root, Path(folder).relative_to(root), sorted(names))
    return sorted(stamps, key=lambda stamp: stamp.name)


def _stamps_of(root, folder, names) -> list[StampFiles]:
    parts = [name.rpartition(".") for name in names]
    pictures = {}
    for stem, _, ending in parts:
        if ending in PICTURES and not _is_derived(stem, names):
            pictures.setdefault(stem, ending)  # PNG comes before SVG
    found = {stem: {ending: f"{stem}.{ending}"} for stem, ending in pictures.items()}
    for stem, _, ending in parts:
        if ending in SOUNDS:
            owner, member = _sound(stem, found)
            if owner:
                found[owner][f"{member}.{ending}"] = f"{stem}.{ending}"
    return [
        StampFiles(
            (folder / stem).as_posix(),
            read_captions(root / folder / f"{stem}.txt") if f"{stem}.txt" in names else {},
            {
                member: ((folder / file).as_posix(), (root / folder / file).stat().st_size)
                for member, file in files.items()
            },
        )
        for stem, files in found.items()
    ]


def _is_derived(stem, names) -> bool:
    bases = [stem.removesuffix(ending) for ending in DERIVED if stem.endswith(ending)]
    return any(f"{base}.{ending}" in names for base in bases for ending in PICTURES)


def _sound(stem, stamps) -> tuple[str, str]:
    """(the stamp a sound belongs to, its member without ending); ("", "") if there is no such stamp."""
    if stem in stamps:
        return stem, "sound"
    match = SPOKEN.fullmatch(stem)
    if not match or match["stem"] not in stamps:
        return "", ""
    if match["desc"]:
        return match["stem"], f"desc.{language_code(match['language'] or ENGLISH)}"
    return match["stem"], f"sound.{language_code(match['language'])}"


def read_captions(path: Path) -> dict[str, str]:
    """Caption by language of a stamp's text: the first line is English, others are `LANGUAGE.utf8=CAPTION`."""
    first, *others = path.read_text("utf-8", "replace").splitlines() or [""]
    matches = [CAPTION.fullmatch(line.strip()) for line in others]
    captions = {ENGLISH: first.strip()}
    captions |= {language_code(match["language"]): match["caption"].strip() for match in matches if match}
    return {language: caption for language, caption in captions.items() if caption}


def language_code(name: str) -> str:
    """ "pt-br" of "pt_BR", and "sr-latin" of "sr@latin"."""
    return re.sub("[_@]", "-", name).lower()
