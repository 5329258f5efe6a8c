"""Data sets of tensorflow-datasets: a small one, prepared as ArrayRecord without TensorFlow, read back."""

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from shards import picture, settings, write_tokenizer

from mmjax.data.captions import all_captions, text_fields
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.errors import UserError

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the data set `pets` lies: 8 training records, 3 of a test split."""
    root = tmp_path_factory.mktemp("tfds")
    kinds = tfds.features

    class Pets(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": kinds.Image(shape=(None, None, 3), encoding_format="png"),
                "label": kinds.ClassLabel(names=["cat", "dog"]),
                "captions": kinds.Sequence({"text": kinds.Text(), "id": np.int64}),
                "tags": kinds.Sequence(kinds.Text()),
                "title": kinds.Text(),
                "vector": kinds.Tensor(shape=(3,), dtype=np.float32),
            }
            return tfds.core.DatasetInfo(builder=self, features=kinds.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(8), "test": self._generate_examples(3)}

        def _generate_examples(self, count):
            for n in range(count):
                yield (
                    n,
                    {
                        "image": io.BytesIO(picture(n)),
                        "label": n % 2,
                        "captions": [{"text": f"a {n}", "id": n}, {"text": "ä", "id": 99}],
                        "tags": ["x", "y"],
                        "title": f"red {n}",
                        "vector": np.float32([n, 0, 1]),
                    },
                )

    Pets(data_dir=str(root), file_format="array_record").download_and_prepare()
    return str(root)


def number(raw) -> int:
    """tfds shuffles what it writes: which record this is."""
    return int(raw["vector"][0])


def test_records(folder):
    source = open_source(f"tfds:pets/train,data_dir={folder}")
    assert len(source) == 8 and source.member_counts() == {"png, vector, json": 8}
    raws = [source[i] for i in range(8)]
    assert sorted(map(number, raws)) == list(range(8))
    for raw in raws:
        n = number(raw)
        assert raw["png"] == picture(n) and raw["vector"].dtype == np.float32
        fields = text_fields(raw)
        assert fields["label"] == n % 2 and fields["label_name"] == ["cat", "dog"][n % 2]
        assert fields["title"] == f"red {n}" and fields["tags"] == ["x", "y"]
        assert all_captions(fields, "{captions.text:one}") == [f"a {n}", "ä"]
        assert fields["captions.id"] == [n, 99]
    assert source.width("vector") == 3
    with pytest.raises(UserError, match="no vectors 'vector_2'"):
        source.width("vector_2")
    assert number(pickle.loads(pickle.dumps(source))[2]) == number(source[2])
    with pytest.raises(IndexError):
        source[8]


def test_splits_and_slices(folder):
    sources = [open_source(f"tfds:pets/{split},data_dir={folder}") for split in ("train", "test", "train[:3]")]
    assert [len(source) for source in sources] == [8, 3, 3]
    assert len({source.fingerprint() for source in sources}) == 3
    assert all(source.nbytes > 0 for source in sources)


@pytest.mark.parametrize(
    ("spec", "said"),
    [("pets", "no split"), ("nothing/train", "no such data set"), ("pets/validation", "cannot read it")],
)
def test_what_is_not_there(folder, spec, said):
    with pytest.raises(UserError, match=said) as error:
        open_source(f"tfds:{spec},data_dir={folder}")
    assert error.value.remedy


def test_no_tensorflow(folder):
    code = (
        "import sys; from mmjax.data.sources import open_source;"
        f"open_source('tfds:pets/train,data_dir={folder}')[0];"
        "sys.exit('tensorflow' in sys.modules or 'jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_training_batches(folder, tmp_path):
    spec = f"tfds:pets/train,data_dir={folder}"
    data = settings(spec, write_tokenizer(tmp_path / "t.json"), captions=(("a {label_name}", 1.0),), augment={})
    batch = TrainPipeline(data, ("image", "text", "vector"), 0, 8).batch(0)
    assert (batch["image"][:, 4, 4, 0] == batch["vector"][:, 0]).all()
    assert (batch["text"][:, 2] == np.where(batch["vector"][:, 0] % 2, 11, 10)).all()
