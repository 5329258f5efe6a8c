"""Tux Paint's stamps: pictures with captions in 78 languages, read aloud in 14 of them, and sounds.

They come from the Debian package tuxpaint-stamps-default (GPL-2; nothing of it ships here):

    apt-get install tuxpaint-stamps-default

or without root, for `path=DIR/usr/share/tuxpaint/stamps`:

    apt-get download tuxpaint-stamps-default && dpkg -x tuxpaint-stamps-default_*.deb DIR
"""

import hashlib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from mmjax.data.sources.files import read_file
from mmjax.data.sources.settings import choose, parse_settings
from mmjax.data.sources.tuxpaint_splits import SPLITS, assign_splits
from mmjax.data.sources.tuxpaint_stamps import ALPHABETS, find_stamps
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

FOLDER = "/usr/share/tuxpaint/stamps"
DEFAULTS = {"split": "train", "path": FOLDER, "letters": "no", "speech": ""}
SIDE = 256  # pixels within which an SVG is drawn; the PNGs are 128 in the median
DPI = 96  # of CSS; without it resvg knows no centimetres


class TuxpaintSource:
    """A random-access source of stamps: "tuxpaint:train", "tuxpaint:test,path=DIR/usr/share/tuxpaint/stamps".

    Record i holds, where the stamp has them, `png`, the picture; `json` with `text`, its caption by language, and
    `category` and `folder`; `sound.ogg`, the sound of what it shows, and for digits that word as
    `sound.LANGUAGE.ogg`; `desc.LANGUAGE.ogg` (in pt-br `.wav`), the caption read aloud. Languages are written "en",
    "pt-br", "zh-tw", "ca-valencia".

    A PNG is preferred to an SVG. An SVG is drawn by resvg-py (extra `emoji`); without it that picture is missing.

    Args:
        rest: the spec after its prefix: the split, one of `tuxpaint_splits.SPLITS` or "all"; `path`, the folder
            `stamps`; `letters=yes` takes in the alphabets, whose captions hardly differ; `speech=fr+ru` leaves out
            what is read aloud in other languages, so that less is read and more kept in memory.

    Raises:
        UserError: a setting that does not exist or cannot be, or no stamps there.

    Attributes:
        undrawn: names of the stamps whose picture is missing for want of resvg-py.
    """

    def __init__(self, rest: str):
        spec = f"tuxpaint:{rest}"
        settings = parse_settings(rest, DEFAULTS, spec)
        split = choose("split", settings["split"], (*SPLITS, "all"), spec)
        letters = choose("letters", settings["letters"], ("yes", "no"), spec) == "yes"
        self._root = Path(settings["path"]).expanduser()
        stamps = find_stamps(self._root)
        splits = assign_splits(stamps)  # of all, so that a stamp's does not depend on the settings
        wanted = [stamp for stamp in stamps if letters or stamp.category != ALPHABETS]
        self._stamps = [stamp for stamp in wanted if split in ("all", splits[stamp.name])]
        if not self._stamps:
            remedy = "apt-get install tuxpaint-stamps-default, or give path=DIR/usr/share/tuxpaint/stamps"
            raise UserError("no Tux Paint stamps there", where=str(self._root), remedy=remedy)
        can_draw = find_spec("resvg_py") is not None
        self.undrawn = [stamp.name for stamp in self._stamps if "svg" in stamp.files and not can_draw]
        self._members = [_members(stamp.files, can_draw, settings["speech"]) for stamp in self._stamps]
        self.paths = [str(self._root)]
        self.nbytes = sum(map(self._size, range(len(self))))

    def __len__(self) -> int:
        return len(self._stamps)

    def __getitem__(self, i: int) -> dict:
        """The members of stamp `i`, and its `__key__`, the path of its files without ending, and `__url__`.

        Raises:
            Unreadable: a file has gone or an SVG cannot be drawn.
        """
        stamp = self._stamps[i]
        fields = {"text": stamp.captions, "category": stamp.category, "folder": stamp.name.rpartition("/")[0]}
        raw = {"__key__": stamp.name, "__url__": self.paths[0], "json": fields}
        for member in self._members[i][1:]:
            path, _ = _file(stamp, member)
            data = read_file(str(self._root / path))
            raw[member] = draw_svg(data) if path.endswith(".svg") else data
        return raw

    def _size(self, i) -> int:
        return sum(_file(self._stamps[i], member)[1] for member in self._members[i][1:])

    def members(self, i: int) -> tuple[str, ...]:
        """The names of stamp `i`'s members."""
        return self._members[i]

    def url(self, i: int) -> str:
        """The folder of all stamps."""
        return self.paths[0]

    def width(self, stream: str) -> int:
        """Always a UserError: there are no vectors."""
        remedy = "use image, text and audio streams"
        raise UserError(f"no vectors for the stream {stream!r}", where=self.paths[0], remedy=remedy)

    def member_counts(self) -> dict[str, int]:
        """How many stamps have which kinds of members: picture, sound, description."""
        kinds = (", ".join(dict.fromkeys(name.split(".")[0] for name in names)) for names in self._members)
        return dict(Counter(kinds))

    def fingerprint(self) -> str:
        """16 hexadecimal digits over names, captions, members and file sizes."""
        parts = [repr((stamp, names)) for stamp, names in zip(self._stamps, self._members, strict=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _members(files, can_draw, speech) -> tuple[str, ...]:
    languages = speech.split("+")
    names = ["png" if name == "svg" and can_draw else name for name in files]
    unwanted = [name for name in names if speech and name.startswith("desc.") and name.split(".")[1] not in languages]
    return ("json", *(name for name in names if name != "svg" and name not in unwanted))


def _file(stamp, member) -> tuple[str, int]:
    """(path from the root, bytes) of the file that a member is made from."""
    return stamp.files.get(member) or stamp.files["svg"]


def draw_svg(data: bytes) -> bytes:
    """An SVG as a PNG of at most SIDE x SIDE pixels; Unreadable if it cannot be drawn."""
    import resvg_py

    try:
        return bytes(
            resvg_py.svg_to_bytes(svg_string=data.decode("utf-8", "replace"), width=SIDE, height=SIDE, dpi=DPI)
        )
    except ValueError as error:
        raise Unreadable("svg cannot be drawn", str(error)) from error
