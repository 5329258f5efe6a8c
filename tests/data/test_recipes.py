"""README's recipes: the command for each format of data runs, on tiny data at the paths that it names."""

import csv
import io
import json
import pathlib
import re
import shlex
import textwrap

import numpy as np
import pytest
from absl import flags
from media import frames, ramp, webp
from PIL import Image
from shards import picture, write_tar

from mmjax import cli
from mmjax.command_line import define_config, parse
from mmjax.data.inspection import preview
from mmjax.data.sources import open_source
from mmjax.data.sources.array_records import write_array_record
from mmjax.training.load import experiment_of

ROOT = pathlib.Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().split("## Train on your own data")[1].split("\n## ")[0]
SHELL = "".join(re.findall(r"```sh\n(.*?)```", SECTION, re.S)).replace("\\\n", " ")
COMMANDS = [shlex.split(line)[1:] for line in SHELL.splitlines() if line.startswith("mmjax ")]
COUNT = 20
CAPTIONS = [f"picture number {n}" for n in range(COUNT)]
KEYS = [f"{n:09d}" for n in range(COUNT)]


def source_of(words) -> str:
    return next(word for word in words if word.startswith("--config.data.source=")).split("=", 1)[1]


RECIPES = {source_of(words): words for words in COMMANDS if words[0] == "train"}


def tars(folder, ending, make):
    """Ten tars of two samples each."""
    folder.mkdir()
    for shard in range(10):
        numbers = (2 * shard, 2 * shard + 1)
        members = [(f"{KEYS[n]}.{ending}", make(n)) for n in numbers] + [
            (f"{KEYS[n]}.txt", CAPTIONS[n].encode()) for n in numbers
        ]
        write_tar(folder / f"{shard:05d}.tar", sorted(members))


def files(folder, endings, make):
    """The paths, seen from `folder`'s own folder, of a file for each sample."""
    folder.mkdir()
    names = [f"{folder.name}/{n}.{endings[n % len(endings)]}" for n in range(COUNT)]
    for n, name in enumerate(names):
        (folder.parent / name).write_bytes(make(n, name.rpartition(".")[2]))
    return names


def film(number, kind) -> bytes:
    """A clip of 6 frames."""
    clip = frames(number, 6, (32, 32))
    if kind == "webp":
        return webp(clip)
    if kind == "gif":
        out, (first, *rest) = io.BytesIO(), map(Image.fromarray, clip)
        first.save(out, "GIF", save_all=True, append_images=rest)
        return out.getvalue()
    av = pytest.importorskip("av")
    path = pathlib.Path("film.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height = 32, 32
        for image in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def table(name, paths):
    """A table of paths and titles, written the way its ending says."""
    rows = [{"filepath": path, "title": title} for path, title in zip(paths, CAPTIONS, strict=True)]
    with open(name, "w", newline="") as file:
        if name.endswith("csv"):
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def arrays(folder, name, shape, **texts):
    """An array of COUNT rows, and texts of a line for each."""
    folder.mkdir()
    np.save(folder / f"{name}.npy", np.random.default_rng(0).normal(size=(COUNT, *shape)).astype(np.float32))
    for text, lines in texts.items():
        (folder / f"{text}.txt").write_text("".join(f"{line}\n" for line in lines))


def class_folders(folder):
    for n in range(COUNT):
        kind = folder / "photos" / ("red_fox" if n % 2 else "hare")
        kind.mkdir(parents=True, exist_ok=True)
        (kind / f"{n}.png").write_bytes(picture(n))


def parquet(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    (folder / "data").mkdir()
    pictures = [{"bytes": picture(n), "path": f"{n}.png"} for n in range(COUNT)]
    rows = pa.table({"image": pictures, "caption": CAPTIONS})
    pyarrow.parquet.write_table(rows, folder / "data" / "train-00000-of-00001.parquet", row_group_size=5)


def array_record(folder):
    pytest.importorskip("array_record")
    tars(folder / "from", "png", picture)
    source = open_source(str(folder / "from"))
    (folder / "data").mkdir()
    assert write_array_record(str(folder / "data" / "0.arrayrecord"), (source[i] for i in range(COUNT))) == COUNT


def tensorflow_data_set(folder):
    """What `tfds build` writes, made without TensorFlow."""
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {"image": tfds.features.Image(shape=(16, 20, 3), encoding_format="png"), "title": tfds.features.Text()}

    with tfds.core.registered.skip_registration():  # it is found by its files alone

        class MyPairs(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {"train": self._generate_examples()}

            def _generate_examples(self):
                for n, title in enumerate(CAPTIONS):
                    yield n, {"image": io.BytesIO(picture(n)), "title": title}

    MyPairs(data_dir=str(folder / "prepared"), file_format="array_record").download_and_prepare()


def pictures_and_vectors(folder):
    tars(folder / "data", "png", picture)
    arrays(folder / "features", "vector", (12,), keys=KEYS[::-1])


# What each recipe of README reads, by its source.
MAKERS = {
    "data/{00000..00009}.tar": lambda folder: tars(folder / "data", "png", picture),
    "pairs.csv": lambda folder: table("pairs.csv", files(folder / "images", ["png"], picture)),
    "pairs.jsonl": lambda folder: table("pairs.jsonl", files(folder / "images", ["jpeg", "webp"], picture)),
    "photos": class_folders,
    "data/*.parquet": parquet,
    "data/*.arrayrecord": array_record,
    "tfds:my_pairs/train,data_dir=prepared": tensorflow_data_set,
    "numpy:features": lambda folder: arrays(folder / "features", "vector", (12,), title=CAPTIONS),
    "data/{00000..00009}.tar && numpy:features": pictures_and_vectors,
    "sounds/*.tar": lambda folder: tars(folder / "sounds", "wav", lambda n: ramp(n, 400)),
    "clips.csv": lambda folder: table("clips.csv", files(folder / "films", ["mp4", "webp", "gif"], film)),
    "numpy:recordings": lambda folder: arrays(folder / "recordings", "series", (50, 6), title=CAPTIONS),
}
SMALL = ["--config.data.image_size=32", "--config.embed_dim=16", "--config.checkpoint.every=2 steps"]
BLOCKS = {"width": 64, "heads": 2, "mlp_dim": 64, "depth": 1}
OPTIONS = {"image": BLOCKS | {"image_size": 32}, "text": BLOCKS | {"vocab_size": 2048}, "vector": {"depth": 1}}
SMALL_TOWERS = {
    stream: [f"--config.towers.{stream}.{name}={value}" for name, value in options.items()]
    for stream, options in OPTIONS.items()
}
SEEN = {"photos": ["a photo of a red fox", "a photo of a hare"]}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and no time spent on measuring samples/s."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preview, "SECONDS", 0.0)
    return tmp_path


def run(words, *changes, capsys) -> dict:
    """What a command of README says as JSON, run with these changes."""
    status = cli.main([*local(words), "--config.batch_size=8", "--config.data.threads=1", *changes, "--json"])
    said = capsys.readouterr()
    assert status == 0, said.err
    return json.loads(said.out.splitlines()[-1])


def local(words) -> list[str]:
    """The command with its config wherever it is run."""
    return [word.replace("--config=configs/", f"--config={ROOT}/configs/") for word in words]


def without_workdir(words) -> list[str]:
    return [word for word in words[1:] if not word.startswith("--workdir")]


def streams_of(words) -> list[str]:
    found = re.search(r"streams=([\w+]+)", " ".join(words))
    return (found[1] if found else "image+text").split("+")


def captions_in(summary) -> set[str]:
    return {re.match(r"'(.*)' \(\d+\)", example["streams"]["text"])[1] for example in summary["examples"]}


def test_no_format_is_left_out():
    assert RECIPES.keys() == MAKERS.keys()


@pytest.mark.parametrize("source", RECIPES)
def test_the_data_of_every_recipe_reaches_the_model(source, here, capsys):
    MAKERS[source](here)
    summary = run(["data", *without_workdir(RECIPES[source])], capsys=capsys)
    assert summary["samples"] == COUNT and summary["unreadable"] == {} and summary["source"] == source
    streams = streams_of(RECIPES[source])
    assert set(streams) <= set(summary["shapes"]) and len(summary["examples"]) == 8
    if "text" in streams:
        seen = captions_in(summary)
        assert seen <= set(SEEN.get(source, CAPTIONS)) and len(seen) > 1


ONE_OF_EACH = {tuple(streams_of(words)): source for source, words in reversed(RECIPES.items())}


@pytest.mark.parametrize("source", ONE_OF_EACH.values())
def test_the_towers_take_that_data(source, here):
    """At their own sizes, traced and not computed."""
    MAKERS[source](here)
    words, values = local(without_workdir(RECIPES[source])), flags.FlagValues()
    define_config(values, words)
    parse(values, ("config",), ["mmjax train", *words])
    assert experiment_of(values.config, examples=COUNT).batch.keys() >= set(streams_of(words))


@pytest.mark.parametrize("source", ["pairs.csv", "data/{00000..00009}.tar && numpy:features"])
def test_recipes_train(source, here, capsys):
    """With retrieval measured on the same data."""
    MAKERS[source](here)
    streams, changes = streams_of(RECIPES[source]), [*SMALL, "--config.duration=2 steps"]
    changes += [flag for stream in streams for flag in SMALL_TOWERS[stream]]
    words = [f"{word},val={source}" if "configs/pairs.py" in word else word for word in RECIPES[source]]
    run(words, *changes, capsys=capsys)
    workdir = here / next(word for word in words if word.startswith("--workdir=")).split("=")[1]
    assert (workdir / "checkpoints" / "2").is_dir()
    last = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    assert 1 / COUNT <= last[f"val/val/{streams[0]}_to_{streams[1]}_R@10"] <= 1, last


def test_the_mixture_of_two_lines(here, capsys):
    tars(here / "data", "png", picture)
    MAKERS["pairs.csv"](here)
    lines = next(block for block in re.findall(r"```python\n(.*?)```", SECTION, re.S) if "mixture" in block)
    start = f"from mmjax import config as c\nimport runpy\npairs = runpy.run_path({str(ROOT / 'configs/pairs.py')!r})\n"
    body = "    config = pairs['get_config']()\n" + textwrap.indent(lines, "    ") + "    return config\n"
    (here / "mixed.py").write_text(f"{start}def get_config(arg=''):\n{body}")
    summary = run(["data", "--config=mixed.py"], capsys=capsys)
    assert summary["samples"] == 2 * COUNT and summary["unreadable"] == {}
    assert summary["source"] == "pairs.csv + data/{00000..00009}.tar"


def test_the_commands_for_a_tokenizer(here, capsys):
    MAKERS["pairs.csv"](here)
    trained, shown = (words for words in COMMANDS if words[0] == "data")
    status = cli.main([*local(trained), "--json"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 0 and said["captions"] == COUNT and said["path"] == "tokenizer.json"
    assert captions_in(run(shown, capsys=capsys)) <= set(CAPTIONS)
