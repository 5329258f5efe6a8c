"""Scenes of named things."""

import pickle

import numpy as np
import pytest

from mmjax.data.sources import open_source
from mmjax.data.sources.objects import single_words
from mmjax.data.tokenizers import make_tokenizer
from mmjax.errors import UserError


def look(source, i):
    """The patches of a scene without noise, in the order of its captions."""
    patches = source._vectors[source.scene(i)].sum(1)
    return patches / np.linalg.norm(patches, axis=1, keepdims=True)


def test_a_scene_holds_what_its_captions_say():
    source = open_source("objects:train,count=5,words=12,patches=3,things=2,named=2,noise=0")
    assert len(source) == 5
    scene, sample = source.scene(4), source[4]
    assert len(set(scene.ravel())) == 6
    words = [[single_words()[n] for n in patch] for patch in scene]
    fields = sample["json"]
    assert fields["caption"].split() == words[0] + words[1]
    assert fields["sentences"] == " ".join(f"{a} {b}." for a, b in words)
    assert fields["last"].split() == words[2]
    expected = look(source, 4)
    rows = np.argmax(sample["series"] @ expected.T, axis=1)
    assert sorted(rows) == [0, 1, 2]
    np.testing.assert_allclose(sample["series"], expected[rows], rtol=1e-6)
    assert any((np.argmax(source[i]["series"] @ look(source, i).T, axis=1) != [0, 1, 2]).any() for i in range(5))


def test_splits_differ_in_scenes_alone_and_noise_has_its_length():
    train, test = (open_source(f"objects:{split},noise=0.5") for split in ("train", "test"))
    np.testing.assert_array_equal(train._vectors, test._vectors)
    assert any((train.scene(i) != test.scene(i)).any() for i in range(3))
    noise = [test[i]["series"].sum(0) - look(test, i).sum(0) for i in range(100)]
    assert np.linalg.norm(noise, axis=1).mean() == pytest.approx(0.5 * 6**0.5, rel=0.05)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(train))[3]["series"], train[3]["series"])


def test_words_are_single_tokens():
    ids, mask = make_tokenizer("emoji", 4)(list(single_words()[:300]))
    assert (mask.sum(1) == 2).all()
    assert len(set(ids[:, 0])) == 300


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("train,colour=2", "no setting 'colour'"),
        ("dev", "no split 'dev'"),
        ("train,words=5", "3 named of 6 patches of 1 things, of 5 words"),
        ("train,named=7", "7 named of 6 patches"),
        ("train,noise=-1", "noise=-1 is no number of at least 0"),
        ("train,words=100000", "words=100000"),
    ],
)
def test_bad_specs(spec, said):
    with pytest.raises(UserError, match=said):
        open_source(f"objects:{spec}")
