"""Microsoft's animated Fluent emoji: clips that move, with labels and tags in 28 languages.

The clips come from four npm packages (MIT; nothing of them ships here), in one folder as they are or unpacked:

    npm pack @lobehub/fluent-emoji-anim-1 @lobehub/fluent-emoji-anim-2 @lobehub/fluent-emoji-anim-3 \\
        @lobehub/fluent-emoji-anim-4
"""

import hashlib
import io
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

from mmjax.data import emoji
from mmjax.data.emoji.build import key_of
from mmjax.data.sources.files import stamp
from mmjax.data.sources.home_cache import home_cache, write_whole
from mmjax.data.sources.settings import choose, parse_settings
from mmjax.data.sources.tars import TarSource
from mmjax.errors import UserError

DEFAULTS = {"split": "train", "path": ""}
PACKAGE = "*fluent-emoji-anim*.tgz"
FORM = "fluent 1"
MOST_BYTES = 2**24  # of one clip; the largest is 1.5 MB
REMEDY = "give path=DIR of the npm packages @lobehub/fluent-emoji-anim-1 to -4, fetched with npm pack"
STILL_PICTURE = "fluent.webp"


class FluentAnimatedSource(TarSource):
    """A random-access source of clips: "fluent-animated:train,path=DIR".

    Record i holds `webp`, an animation of 13 to 97 frames of 256 x 256 pixels, and `json` with `label` and `tags` by
    language, `group` and `subgroup`, as the emoji data of this package has them. Its splits are those of `emoji:`
    where that has the concept's still Fluent picture, so that what is unseen there is unseen here. Packaged pictures
    that do not move are left out.

    The clips of a split are written once into a tar in the home cache, since an npm package allows no random access.

    Args:
        rest: the spec after its prefix: the split, one of `mmjax.data.emoji.SPLITS`; `path`, the folder of the npm
            packages' .tgz files, or of what was in them.

    Raises:
        UserError: a setting that does not exist or cannot be, or no such clips there.
    """

    def __init__(self, rest: str):
        spec = f"fluent-animated:{rest}"
        settings = parse_settings(rest, DEFAULTS, spec)
        split = choose("split", settings["split"], emoji.SPLITS, spec)
        if not settings["path"]:
            raise UserError("no path of the clips", where=spec, remedy=REMEDY)
        super().__init__(str(clip_tar(Path(settings["path"]).expanduser(), split)))


def clip_tar(folder: Path, split: str) -> Path:
    """The tar of the clips of a split, made if it is not in the cache yet.

    Raises:
        UserError: the folder holds no clips of it, or the cache cannot be written.
    """
    packages, loose = sorted(folder.rglob(PACKAGE)), sorted(folder.rglob("*.webp"))
    found = [f"{path.name} {stamp(str(path))}" for path in packages or loose]
    if not found:
        raise UserError("no animated Fluent emoji there", where=str(folder), remedy=REMEDY)
    digest = hashlib.sha256("\n".join([FORM, *found]).encode()).hexdigest()[:16]
    path = home_cache() / f"fluent-animated-{digest}" / f"{split}.tar"
    if not path.exists():
        labels = labels_of(split)
        clips = {key: data for key, data in read_clips(packages, loose) if key in labels and moves(data)}
        if not clips:
            raise UserError(f"no clip of the split {split!r} there", where=str(folder), remedy=REMEDY)
        try:
            write_whole(path, lambda file: _write_tar(file, clips, labels))
        except OSError as error:
            where, remedy = str(path), "set XDG_CACHE_HOME to a folder that can be written"
            raise UserError(f"cannot write the clips: {error}", where=where, remedy=remedy) from error
    return path


def labels_of(split: str) -> dict[str, bytes]:
    """Key -> JSON of the concepts whose still Fluent picture is in a split of the emoji data."""
    source = TarSource(emoji.shard(split))
    samples = (source[i] for i in range(len(source)) if STILL_PICTURE in source.members(i))
    return {sample["__key__"]: sample["json"] for sample in samples}


def read_clips(packages: list[Path], loose: list[Path]) -> Iterator[tuple[str, bytes]]:
    """(key, bytes) of every .webp in packages, or if there are none of the loose ones."""
    for path in packages:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith(".webp") and member.size <= MOST_BYTES:
                        yield key_of(Path(member.name).stem), archive.extractfile(member).read()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise UserError(f"cannot read the package: {error}", where=str(path), remedy="fetch it again") from error
    if not packages:
        for path in loose:
            if path.stat().st_size <= MOST_BYTES:
                yield key_of(path.stem), path.read_bytes()


def moves(data: bytes) -> bool:
    """Whether a WebP file has more than one frame, by its chunks (RFC 9649, section 2.7)."""
    at, frames = 12, 0
    while data[:4] == b"RIFF" and at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        frames += name == b"ANMF"
        at += 8 + size + size % 2
    return frames > 1


def _write_tar(file, clips, labels):
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key in sorted(clips):
            for ending, data in (("json", labels[key]), ("webp", clips[key])):
                header = tarfile.TarInfo(f"{key}.{ending}")
                header.size = len(data)
                archive.addfile(header, io.BytesIO(data))
