"""`mmjax embed`: every row of a source under the run's weights, to .npy or .parquet; an interrupted job goes on."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from mmjax import cli
from mmjax.data.sources import open_source
from mmjax.errors import UserError
from mmjax.evaluation.suite import Suite, weights
from mmjax.experiments import embed
from mmjax.experiments.embed import embed_source
from mmjax.training.load import load
from mmjax.training.train import train
from tests import tiny
from tests.data.shards import pairs, write_tar

SOURCE = "emoji:validation-unseen"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workdir of two steps."""
    workdir = tmp_path_factory.mktemp("run")
    config = tiny.get_config("2")
    del config.evaluations.unseen
    train(config, workdir)
    return str(workdir)


@pytest.fixture(scope="module")
def pictures(run, tmp_path_factory):
    """The (N, D) embeddings and the ids that one uninterrupted job writes."""
    out = tmp_path_factory.mktemp("whole") / "pictures.npy"
    result = embed_source(run, source=SOURCE, stream="image", out=str(out))
    vectors, ids = np.load(out), np.load(out.with_suffix(".ids.npy"), allow_pickle=False)
    assert result == {"out": str(out), "rows": len(vectors), "width": 16, "step": 2}
    assert sorted(p.name for p in out.parent.iterdir()) == ["pictures.ids.npy", "pictures.npy"]
    return vectors, ids


def test_vectors_are_the_model_applied_to_each_picture(run, pictures):
    vectors, ids = pictures
    source = open_source(SOURCE)
    by_id = {f"{source[i]['__key__']}.{m}": source[i][m] for i in range(len(source)) for m in source.members(i)}
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert set(ids) == {name for name in by_id if name.endswith(".webp")} and len(set(ids)) == len(ids)
    experiment, state = load(run)
    some = [0, len(ids) // 2, len(ids) - 1]
    images = [Image.open(io.BytesIO(by_id[ids[i]])).convert("RGBA") for i in some]
    paper = [Image.new("RGBA", image.size, "white") for image in images]
    batch = np.stack(
        [
            np.asarray(Image.alpha_composite(white, image).convert("RGB").resize((16, 16), Image.Resampling.BICUBIC))
            for white, image in zip(paper, images, strict=True)
        ]
    )
    features = experiment.model.apply({"params": state.ema["model"]}, {"image": batch})
    np.testing.assert_allclose(vectors[some], features["image"].pooled, atol=2e-3)


def test_an_interrupted_job_goes_on_and_gives_the_same_file(run, pictures, tmp_path, monkeypatch):
    out = tmp_path / "out" / "pictures.npy"
    monkeypatch.setattr(embed, "PART_ROWS", 50)
    interrupt_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        embed_source(run, source=SOURCE, stream="image", out=str(out))
    parts = out.with_name("pictures.npy.parts")
    assert sorted(p.name for p in parts.iterdir()) == ["000000.npz", "000001.npz", "job.json"] and not out.exists()
    (parts / "000002.tmp").write_bytes(b"cut by a kill")

    made = interrupt_after(monkeypatch, 99)
    embed_source(run, source=SOURCE, stream="image", out=str(out))
    assert made() == -(-len(pictures[0]) // 50) - 2, "parts that were whole are not made again"
    assert not parts.exists()
    np.testing.assert_array_equal(np.load(out.with_suffix(".ids.npy")), pictures[1])
    np.testing.assert_array_equal(np.load(out), pictures[0])


def interrupt_after(monkeypatch, parts):
    """Ctrl-C instead of the part after so many; the function returned counts those that were written."""
    save, done = SAVE, []

    def save_or_stop(*args, **options):
        if len(done) == parts:
            raise KeyboardInterrupt
        done.append(save(*args, **options))

    monkeypatch.setattr(embed, "_save_part", save_or_stop)
    return lambda: len(done)


SAVE = embed._save_part


def test_parts_of_another_job_are_refused(run, tmp_path, monkeypatch):
    out = str(tmp_path / "x.npy")
    monkeypatch.setattr(embed, "PART_ROWS", 50)
    interrupt_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        embed_source(run, source=SOURCE, stream="image", out=out)
    for other in ({"source": "emoji:validation-style"}, {"stream": "text", "captions": "{label}"}):
        with pytest.raises(UserError, match="parts of another job(.|\n)*x.npy.parts(.|\n)*delete that folder"):
            embed_source(run, **{"source": SOURCE, "stream": "image", "out": out} | other)
    assert (tmp_path / "x.npy.parts" / "000000.npz").exists()


def test_captions_to_parquet(run, tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(embed, "PART_ROWS", 30)
    out = tmp_path / "texts.parquet"
    result = embed_source(run, source=SOURCE, stream="text", out=str(out), captions="{label}", language="de")
    table = pyarrow.read_table(out).to_pydict()
    source = open_source(SOURCE)
    assert table.keys() == {"id", "text", "embedding"} and result["rows"] == len(source) == len(table["id"])
    for i in (0, 31, len(source) - 1):  # of the first part and of later ones
        raw = source[i]
        assert table["id"][i] == raw["__key__"] and table["text"][i] == json.loads(raw["json"])["label"]["de"]
    experiment, state = load(run)
    embeddings = Suite(experiment).embeddings(weights(state)["val"])
    np.testing.assert_allclose(table["embedding"], embeddings.texts(table["text"]), atol=1e-6)


def test_rows_that_cannot_be_read_are_left_out(run, tmp_path):
    members = [(name, b"no picture" if name == "000000002.png" else data) for name, data in pairs(20)]
    out = tmp_path / "x.npy"
    assert embed_source(run, source=write_tar(tmp_path / "a.tar", members), stream="image", out=str(out))["rows"] == 19
    ids = np.load(out.with_suffix(".ids.npy"))
    assert ids.tolist() == [f"{n:09d}.png" for n in range(20) if n != 2]


def test_a_part_of_which_nothing_can_be_read(run, tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "PART_ROWS", 2)
    members = [(name, b"no picture" if name < "000000002" and name.endswith("png") else d) for name, d in pairs(5)]
    out = tmp_path / "x.npy"
    embed_source(run, source=write_tar(tmp_path / "a.tar", members), stream="image", out=str(out))
    assert np.load(out.with_suffix(".ids.npy")).tolist() == [f"{n:09d}.png" for n in (2, 3, 4)]
    assert np.load(out).shape == (3, 16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stream": "audio"}, "the stream 'audio' does not exist(.|\n)*image, text"),
        ({"out": "x.csv"}, r"cannot write 'x.csv'(.|\n)*\.npy or \.parquet"),
        ({"source": "/no/such.tar"}, "no such file"),
        ({"source": "nothing"}, "unknown source 'nothing'"),
        ({"source": "xor:dims=5"}, "more than one file holds"),
        ({"out": "/proc/x/y.npy"}, "cannot write"),
        ({"step": 7}, "no checkpoint of step 7"),
        ({"stream": "text", "captions": "{nothing}"}, "no caption field nothing"),
    ],
)
def test_what_is_refused(run, change, said):
    with pytest.raises(UserError, match=said):
        embed_source(run, **{"source": SOURCE, "stream": "image", "out": "/nowhere/x.npy"} | change)


def test_source_without_pictures(run, tmp_path):
    tar = write_tar(tmp_path / "a.tar", [(name, data) for name, data in pairs(5) if not name.endswith("png")])
    with pytest.raises(UserError, match="nothing to embed"):
        embed_source(run, source=tar, stream="image", out=str(tmp_path / "x.npy"))


def test_the_verb(run, pictures, tmp_path, capsys):
    out = tmp_path / "x.npy"
    assert cli.main(["embed", f"--workdir={run}", f"--source={SOURCE}", f"--out={out}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == len(pictures[0])
    np.testing.assert_array_equal(np.load(out), pictures[0])
