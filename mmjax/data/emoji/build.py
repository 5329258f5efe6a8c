"""Builds the tars of this folder from four npm packages: `python -m mmjax.data.emoji.build --packages=DIR`.

One sample is one concept: `KEY.json` (its label and tags in 28 languages, its group and subgroup) and a 64x64 WebP on
white for each art style, `KEY.noto.webp`, `KEY.fluent.webp`, `KEY.twemoji.webp`; KEY is the emoji's code points in hex.
The same packages give the same bytes (with the same Pillow and resvg). Needs the extra `emoji`. The packages come from

    npm pack emojibase-data@17.0.0 @iconify-json/noto@1.2.9 @lobehub/fluent-emoji-3d@1.1.0 @discordapp/twemoji@16.0.1
"""

import argparse
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from mmjax.data.emoji import LANGUAGES, SPLITS, STYLES, shard
from mmjax.data.emoji.splits import assign
from mmjax.data.emoji.tokenizers import write_tokenizers
from mmjax.errors import UserError

PACKAGES = {
    "emojibase": "emojibase-data-17.0.0.tgz",
    "noto": "iconify-json-noto-1.2.9.tgz",
    "fluent": "lobehub-fluent-emoji-3d-1.1.0.tgz",
    "twemoji": "discordapp-twemoji-16.0.1.tgz",
}
SIZE = 64
QUALITY = 75
LEFT_OUT_GROUPS = ("flags", "component")
HELD_OUT_STYLE = "fluent"
Files = dict[str, bytes]


class Concept(NamedTuple):
    """One emoji: its key, its English label, the JSON that ships, and its picture in each style."""

    key: str
    label: str
    description: dict
    pictures: dict[str, bytes]


def read_package(folder: Path, name: str) -> Files:
    """The files of one npm package by their path inside it.

    Raises:
        UserError: the package is not in the folder.
    """
    path = folder / PACKAGES[name]
    if not path.exists():
        raise UserError(f"no package {path.name}", where=str(folder), remedy="see the head of build.py")
    with tarfile.open(path) as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name.split("/", 1)[1]: archive.extractfile(member).read() for member in members}


def key_of(code_points: str) -> str:
    """The spelling that the packages share: "0023-FE0F-20E3" -> "23-20e3", without zeros and variation selectors."""
    parts = [part.lstrip("0") for part in code_points.lower().split("-")]
    return "-".join(part for part in parts if part != "fe0f")


def noto_pictures(package: Files) -> dict[str, Callable[[], Image.Image]]:
    """A function that draws each emoji of the Noto icon set."""
    icons = json.loads(package["icons.json"])
    aliases = {name: alias["parent"] for name, alias in icons["aliases"].items()}

    def draw(name):
        icon = icons["icons"][aliases.get(name, name)]
        box = f"0 0 {icon.get('width', icons['width'])} {icon.get('height', icons['height'])}"
        return draw_svg(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>')

    return {key_of(code): lambda name=name: draw(name) for code, name in json.loads(package["chars.json"]).items()}


def fluent_pictures(package: Files) -> dict[str, Callable[[], Image.Image]]:
    """A function that draws each Fluent emoji, a 256x256 WebP with alpha."""
    paths = [Path(name) for name in package if name.endswith(".webp")]
    return {key_of(path.stem): lambda path=path: Image.open(io.BytesIO(package[str(path)])) for path in paths}


def twemoji_pictures(package: Files) -> dict[str, Callable[[], Image.Image]]:
    """A function that draws each Twemoji."""
    paths = [Path(name) for name in package if name.endswith(".svg")]
    return {key_of(path.stem): lambda path=path: draw_svg(package[str(path)].decode()) for path in paths}


def draw_svg(svg: str) -> Image.Image:
    """An SVG at four times the final size, RGBA; shrinking it by box gives better edges than drawing it small."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=4 * SIZE, height=4 * SIZE)
    return Image.open(io.BytesIO(bytes(png)))


def webp_on_white(picture: Image.Image) -> bytes:
    """The picture on a white square of the final size, as WebP."""
    picture = picture.convert("RGBA")
    square = Image.new("RGBA", (max(picture.size),) * 2, "white")
    square.alpha_composite(picture, tuple((max(picture.size) - side) // 2 for side in picture.size))
    file = io.BytesIO()
    small = square.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
    small.save(file, "WEBP", quality=QUALITY, method=6)
    return file.getvalue()


def concepts(folder: Path) -> list[Concept]:
    """Every emoji that has a group (flags and mere parts left out) and a picture in all styles."""
    emojibase = read_package(folder, "emojibase")
    draw = {
        "noto": noto_pictures(read_package(folder, "noto")),
        "fluent": fluent_pictures(read_package(folder, "fluent")),
        "twemoji": twemoji_pictures(read_package(folder, "twemoji")),
    }
    kept = []
    for code, description in descriptions(emojibase):
        key = key_of(code)
        if all(key in draw[style] for style in STYLES):
            pictures = {style: webp_on_white(draw[style][key]()) for style in STYLES}
            kept.append(Concept(key, description["label"]["en"], description, pictures))
    return kept


def descriptions(emojibase: Files) -> Iterator[tuple[str, dict]]:
    """(code points, label and tags by language with group and subgroup) of every base emoji of a kept group."""
    names = json.loads(emojibase["meta/groups.json"])
    texts = {
        language: {entry["hexcode"]: entry for entry in json.loads(emojibase[f"{language}/data.json"])}
        for language in LANGUAGES
    }
    for code, entry in sorted(texts["en"].items(), key=lambda item: item[1].get("order", 0)):
        group = names["groups"].get(str(entry.get("group")))
        if group is None or group in LEFT_OUT_GROUPS:
            continue
        description = {
            "label": {language: texts[language][code]["label"] for language in LANGUAGES},
            "tags": {language: tags(texts, language, code) for language in LANGUAGES},
            "group": group,
            "subgroup": names["subgroups"][str(entry["subgroup"])],
        }
        yield code, description


def tags(texts: dict[str, dict], language: str, code: str) -> list[str]:
    """The tags of an emoji; a regional language without any ("en-gb", 4 times) takes those of its parent ("en")."""
    return texts[language][code].get("tags") or texts[language.split("-")[0]][code]["tags"]


def styles_in(tar_split: str, split: str) -> tuple[str, ...]:
    """The styles in which a concept of `split` appears in the tar of `tar_split`."""
    trained_but_for_one_style = split in ("style", "validation-style")
    if tar_split == "train" and trained_but_for_one_style:
        return tuple(style for style in STYLES if style != HELD_OUT_STYLE)
    if tar_split != split:
        return ()
    return (HELD_OUT_STYLE,) if trained_but_for_one_style else STYLES


def write_tar(path: str, samples: list[tuple[Concept, tuple[str, ...]]]):
    """Writes a webdataset tar whose bytes depend on the samples alone."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for concept, styles in sorted(samples, key=lambda sample: sample[0].key):
            members = {f"{concept.key}.{style}.webp": concept.pictures[style] for style in styles}
            text = json.dumps(concept.description, ensure_ascii=False, separators=(",", ":"))
            for name, data in {f"{concept.key}.json": text.encode(), **members}.items():
                header = tarfile.TarInfo(name)
                header.size = len(data)
                archive.addfile(header, io.BytesIO(data))


def build(folder: Path):
    """Writes every tar and both tokenizers of this folder, and prints what is in them."""
    found = concepts(folder)
    splits = assign([concept.label for concept in found])
    for tar_split in SPLITS:
        samples = [(c, styles_in(tar_split, split)) for c, split in zip(found, splits, strict=True)]
        samples = [(concept, styles) for concept, styles in samples if styles]
        write_tar(shard(tar_split), samples)
        print(f"{tar_split}: {len(samples)} concepts, {sum(len(styles) for _, styles in samples)} images")
    untrained = ("unseen", "validation-unseen")
    write_tokenizers([c.description for c, split in zip(found, splits, strict=True) if split not in untrained])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder of the npm packages' .tgz files")
    build(parser.parse_args().packages)
