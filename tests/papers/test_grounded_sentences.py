"""Visually grounded sentences: the pairs that ship, meshes, and what the letters learn from pictures."""

import csv

import pytest

from mmjax.data.sources import open_source
from tests.papers.running import check_mesh, config_of, module, run


def test_the_pairs_are_scored_by_what_their_scenes_share():
    """Of each sentence its own words are read again: size, colour, shape, place."""
    with open(module("grounded_sentences").PAIRS, newline="") as file:
        pairs = list(csv.DictReader(file))
    assert [sum(p["score"] == str(s) for p in pairs) for s in range(4)] == [80] * 4

    def said(sentence):
        thing, _, place = sentence.removeprefix("a ").partition(" at the ")
        return (*thing.split(), place)

    for pair in pairs:
        assert sum(a == b for a, b in zip(said(pair["sentence1"]), said(pair["sentence2"]), strict=True)) == int(
            pair["score"]
        )


def test_the_longest_sentence_fits():
    source = open_source("synthetic:test,count=300,side=16")
    longest = max(len(source.scene(i).words["caption"].encode()) for i in range(300))
    assert longest < module("grounded_sentences").CONTEXT


@pytest.mark.slow
def test_meshes_and_micro_batches():
    config = config_of("grounded_sentences", batch_size=16, embed_dim=8)
    config.data.source = "synthetic:train,count=64,side=16"
    config.towers.image.width, config.towers.text.width = 8, 8
    check_mesh(config, steps=1)


def test_arguments():
    assert config_of("grounded_sentences", "full").towers.text.context == 256
    with pytest.raises(ValueError, match="unknown argument 'words'"):
        config_of("grounded_sentences", "words")


@pytest.mark.slow
def test_letters_learn_the_meaning_of_sentences_from_pictures(tmp_path):
    metrics = run("grounded_sentences", workdir=tmp_path)
    assert metrics["val/scenes/text_to_image_R@1"] > 0.15  # by chance 0.005
    assert metrics["val/sentences/spearman"] > 0.48  # untrained 0.39
