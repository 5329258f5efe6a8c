"""RCAD: wrong captions that are partly right, by hand, with a teacher that says how far."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as c
from mmjax.encoders import Features
from mmjax.losses import softmax_contrastive
from mmjax.objectives import OBJECTIVES
from tests.papers.running import check_mesh, config_of, module, run

NAMES = ("image", "text", "text_2", "text_3", "llm/text", "llm/text_2", "llm/text_3")
TEACHERS = NAMES[4:]


def unit(seed):
    x = np.random.default_rng(seed).normal(size=(6, 5))
    return jnp.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), jnp.float32)


def features(**changed):
    return {name: Features(changed.get(name, unit(seed))) for seed, name in enumerate(NAMES)}


def loss_of(features, batch=None, **options):
    objective = OBJECTIVES["hard_negatives"](negatives=("text_2", "text_3"), temperature=0.5, **options)
    params = objective.init(jax.random.key(0), features, batch or {}, train=True)["params"]
    return objective.apply({"params": params}, features, batch or {}, train=True)[0]


def test_targets_by_the_teachers_likeness():
    given = features()
    image, text, *wrong = (np.asarray(given[name].pooled, np.float64) for name in NAMES[:4])
    true, *teacher = (np.asarray(given[name].pooled, np.float64) for name in TEACHERS)
    total = 0.0
    for i in range(6):
        z = 2.0 * np.concatenate([text @ image[i], [w[i] @ image[i] for w in wrong]])
        weights = np.concatenate([np.arange(6) == i, [np.exp((true[i] @ t[i] - 1) / 0.3) for t in teacher]])
        total += np.log(np.exp(z).sum()) - weights @ z / weights.sum()
        back = 2.0 * image @ text[i]
        total += np.log(np.exp(back).sum()) - back[i]
    np.testing.assert_allclose(loss_of(given, teachers=TEACHERS, teacher_temperature=0.3), total / 12, rtol=1e-5)


def test_the_limits_of_likeness():
    """A teacher that sees no likeness makes plain hard negatives; one that sees no difference, several positives."""
    given = features()
    cold = loss_of(given, teachers=TEACHERS, teacher_temperature=1e-3)
    np.testing.assert_allclose(cold, loss_of(given), rtol=1e-5)
    same = features(**dict.fromkeys(TEACHERS, unit(9)))
    image, text, *wrong = (same[name].pooled for name in NAMES[:4])
    hard = {"hard_negatives": jnp.stack(wrong, 1), "hard_targets": jnp.ones((6, 2))}
    np.testing.assert_allclose(
        loss_of(same, teachers=TEACHERS), softmax_contrastive(image, text, 2.0, **hard), rtol=1e-5
    )


def test_no_gradient_reaches_the_teacher():
    def loss(vectors):
        return loss_of(features(**dict(zip(TEACHERS, vectors, strict=True))), teachers=TEACHERS)

    assert all(np.all(g == 0) for g in jax.grad(loss)([unit(4), unit(5), unit(6)]))


def test_a_teacher_for_every_caption():
    with pytest.raises(ValueError, match="2 teachers for a caption and 2 wrong ones"):
        loss_of(features(), teachers=TEACHERS[:2])
    with pytest.raises(ValueError, match="no stream 'gpt/text'"):
        loss_of(features(), teachers=("gpt/text", *TEACHERS[1:]))


def test_edits_are_of_the_same_words():
    """What a bag of words cannot tell apart; and of each scene all captions differ."""
    from mmjax.data.captions import all_captions, text_fields
    from mmjax.data.sources import open_source

    source = open_source("synthetic:test,things=2,side=16,count=40")
    for i in range(40):
        fields = text_fields(source[i])
        captions = [all_captions(fields, t)[0] for t in ("{caption}", *module("rcad").EDITS)]
        assert len(set(captions)) == 4 and len({tuple(sorted(text.split())) for text in captions}) == 1


@pytest.mark.slow
def test_the_same_on_any_mesh():
    # Edits of a caption are nearly alike at first: at a large scale their differences would show rounding.
    small = {"batch_size": 16, "embed_dim": 8, "towers.image.width": 16, "towers.text.width": 8, "towers.text.heads": 2}
    check_mesh(config_of("rcad", "untrained", **small, **{"objectives.contrastive.temperature": 1.0}), steps=1)


def test_full_recipe():
    config = config_of("rcad", "full")
    c.validate(config)
    assert len(config.objectives.contrastive.negatives) == 5 and "video" in config.streams


@pytest.mark.slow
def test_edits_in_training_tell_captions_from_edits(tmp_path):
    """The caption among itself and three edits, chance 0.25: edits as hard negatives against none."""
    hard, vanilla = (run("rcad", arm, workdir=tmp_path / arm)["val/edits/accuracy"] for arm in ("hard", "vanilla"))
    assert hard > vanilla + 0.05 and vanilla > 0.3
