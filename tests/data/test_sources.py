"""Specs: which source each means, and what every source keeps to."""

import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from shards import assert_batches_equal, pairs, picture, settings, write_tar, write_tokenizer

from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import ENDINGS, PREFIXES, open_source
from mmjax.data.sources.array_records import ArrayRecordSource, write_array_record
from mmjax.data.sources.folder import FolderSource
from mmjax.data.sources.join import JoinedSource
from mmjax.data.sources.numpy_source import NumpySource
from mmjax.data.sources.parquet import ParquetSource
from mmjax.data.sources.tables import TableSource
from mmjax.data.sources.tars import TarSource
from mmjax.errors import UserError

COUNT = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same six pictures with captions in every format; a folder for each."""
    root = tmp_path_factory.mktemp("data")
    for name in ("tars", "photos/cat", "photos/dog", "tables", "parquet", "records", "arrays", "arrow"):
        (root / name).mkdir(parents=True)
    write_tar(root / "tars" / "0.tar", pairs(3))
    write_tar(root / "tars" / "1.tar", pairs(3, first=3))
    for n in range(COUNT):
        (root / "photos" / ("dog" if n % 2 else "cat") / f"{n}.png").write_bytes(picture(n))
    rows = [{"filepath": f"../photos/{'dog' if n % 2 else 'cat'}/{n}.png", "title": f"a {n}"} for n in range(COUNT)]
    lines = ["filepath\ttitle", *("\t".join(row.values()) for row in rows)]
    for name in ("pairs.csv", "pairs.tsv"):
        (root / "tables" / name).write_text("\n".join(lines))
    for name in ("pairs.jsonl", "pairs.ndjson"):
        (root / "tables" / name).write_text("\n".join(str(row).replace("'", '"') for row in rows))
    images = [{"bytes": picture(n), "path": None} for n in range(COUNT)]
    parquet.write_table(pa.table({"image": images, "title": ["a"] * COUNT}), root / "parquet" / "0.parquet")
    tars = TarSource(str(root / "tars" / "*.tar"))
    for name in ("a.arrayrecord", "a.array_record"):
        write_array_record(str(root / "records" / name), (tars[i] for i in range(COUNT)))
    np.save(root / "arrays" / "vector.npy", np.ones((COUNT, 2)))
    np.savez(root / "arrays.npz", vector=np.ones((COUNT, 2)))
    return str(root)


SPECS = {
    "{}/tars/{{0..1}}.tar": TarSource,
    "{}/tars": TarSource,
    "tar:{}/tars/*.tar": TarSource,
    "{}/tars/0.tar::{}/tars/1.tar": TarSource,
    "{}/tables/pairs.csv": TableSource,
    "{}/tables/pairs.tsv": TableSource,
    "csv:{}/tables/pairs.tsv": TableSource,
    "{}/tables/pairs.jsonl": TableSource,
    "{}/tables/*.ndjson": TableSource,
    "{}/photos": FolderSource,
    "folder:{}/photos/": FolderSource,
    "{}/parquet/*.parquet": ParquetSource,
    "{}/parquet": ParquetSource,
    "{}/records/a.arrayrecord": ArrayRecordSource,
    "arrayrecord:{}/records/a.array_record": ArrayRecordSource,
    "{}/arrays": NumpySource,
    "numpy:{}/arrays/vector.npy": NumpySource,
    "{}/arrays.npz": NumpySource,
    "{}/photos && {}/arrays/vector.npy": JoinedSource,
}


@pytest.mark.parametrize("spec", SPECS)
def test_what_every_source_keeps_to(data, spec):
    source = open_source(spec.format(data, data))
    assert type(source) is SPECS[spec] and len(source) == COUNT
    raws = [source[i] for i in range(COUNT)]
    for i, raw in enumerate(raws):
        assert isinstance(raw["__key__"], str) and isinstance(raw["__url__"], str) and data in source.url(i)
        assert tuple(name for name in raw if not name.startswith("__")) == source.members(i)
        if type(source) is not NumpySource:
            assert raw["png"] in map(picture, range(COUNT))
    assert sum(source.member_counts().values()) == COUNT and all(data in path for path in source.paths)
    assert source.nbytes > 0 and re.fullmatch("[0-9a-f]{16}", source.fingerprint())
    assert open_source(spec.format(data, data)).fingerprint() == source.fingerprint()
    for wrong in (COUNT, -1):
        with pytest.raises(IndexError):
            source[wrong]
    with pytest.raises(UserError) as error:
        source.width("vector_9")
    assert error.value.remedy
    copy = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(copy.__getitem__, [*range(COUNT)] * 5))
    for n, raw in enumerate(again):
        np.testing.assert_equal(raw, raws[n % COUNT])


def test_prefixes_and_endings_lead_somewhere():
    """Sources of other files are only named here: opening one imports its file."""
    assert set(ENDINGS.values()) <= set(PREFIXES)
    assert type(open_source("emoji:validation-style")) is TarSource
    assert len(open_source("xor:split=test")) == 5000


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nonsense", "unknown source"),
        ("", "unknown source"),
        ("s3://bucket/data", "unknown source"),
        ("zarr:data", "unknown source"),
        ("none/*.parquet", "no parquet matches"),
        ("none.csv", "no such file"),
        ("folder:none", "no such folder"),
        ("numpy:none.npy", "no such file"),
        ("none.npz", "cannot read the archive"),
        ("emoji:none", "no emoji split"),
    ],
)
def test_specs_that_lead_nowhere(spec, said):
    with pytest.raises(UserError, match=said) as error:
        open_source(spec)
    assert error.value.remedy


def test_an_unknown_source_lists_all_there_are(tmp_path):
    path = tmp_path / "data.xyz"
    path.write_text("")
    with pytest.raises(UserError, match="unknown format") as error:
        open_source(str(path))
    for name in (*PREFIXES, *ENDINGS):
        assert name in error.value.remedy


# What a user writes of each format: the source, and the caption template.
RECIPES = {
    "tars": ("{}/tars/{{0..1}}.tar", "{txt}"),
    "csv": ("{}/tables/pairs.csv", "{title}"),
    "tsv": ("{}/tables/pairs.tsv", "{title}"),
    "json lines": ("{}/tables/pairs.jsonl", "{title}"),
    "folder": ("{}/photos", "a {class}"),
    "parquet": ("{}/parquet/*.parquet", "{title}"),
    "arrayrecord": ("{}/records/*.arrayrecord", "{txt}"),
    "joined vectors": ("{}/photos && {}/arrays", "a {class}"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_give_batches(data, tmp_path, name):
    spec, template = RECIPES[name]
    config = settings(
        spec.format(data, data), write_tokenizer(tmp_path / "t.json"), captions=((template, 1.0),), augment={}
    )
    streams = ("image", "vector") if "vectors" in name else ("image", "text")
    pipeline = TrainPipeline(config, streams, 0, COUNT)
    batch = pipeline.batch(0)
    expected = [number_of(pipeline.source[record]["png"]) for record in batch["id"].tolist()]
    assert batch["image"][:, 4, 4, 0].tolist() == expected and sorted(expected) == list(range(COUNT))
    if "text" in batch:
        assert (batch["text"][:, 1] == 4).all()  # "a"
    else:
        np.testing.assert_array_equal(batch["vector"], np.ones((COUNT, 2)))
    assert pipeline.unreadable.reasons.total() == 0


def number_of(png: bytes) -> int:
    return [picture(n) for n in range(COUNT)].index(png)


def test_worker_processes_give_the_same_batches(data, tmp_path):
    config = settings(f"{data}/parquet", write_tokenizer(tmp_path / "t.json"), captions=(("{title}", 1.0),))
    config.workers = 1
    pipeline = TrainPipeline(config, ("image", "text"), 0, 3)
    batches = pipeline.iterate(2)
    assert_batches_equal(next(batches), pipeline.batch(2))
    batches.close()


@pytest.mark.parametrize(
    ("module", "extra", "spec"),
    [
        ("pyarrow", "parquet", "{}/parquet/0.parquet"),
        ("array_record.python.array_record_module", "array_record", "{}/records/b.arrayrecord"),
        ("tensorflow_datasets", "tfds", "tfds:mnist/train"),
        ("fsspec", "remote", "s3://bucket/a.tar"),
    ],
)
def test_packages_that_are_not_installed(data, tmp_path, monkeypatch, module, extra, spec):
    if "b.arrayrecord" in spec:
        shutil.copy(f"{data}/records/a.arrayrecord", f"{tmp_path}/b.arrayrecord")
        spec = f"{tmp_path}/b.arrayrecord"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as error:
        open_source(spec.format(data))
    assert error.value.remedy == f"pip install 'mmjax[{extra}]'"


def test_sources_import_only_what_they_read_with(data):
    code = (
        "import sys; from mmjax.data.sources import open_source;"
        f"open_source('{data}/tars')[0]; open_source('{data}/tables/pairs.csv')[0]; open_source('{data}/arrays')[0];"
        "sys.exit(any(name in sys.modules for name in ('jax', 'pyarrow', 'fsspec', 'tensorflow', 'grain')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
