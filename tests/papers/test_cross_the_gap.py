"""Inversion through frozen towers: what it is given reaches the tower, it converges, and rows do not mix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as c
from mmjax.data.tokenizers import make_tokenizer
from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.inversion import Descent, invert, patch_encoder, text_encoder
from mmjax.evaluation.inverted_retrieval import InvertedRetrieval, mean_average_precision
from mmjax.model import build_model
from tests.papers.running import config_of, run

IDS, MASK = jnp.asarray([3, 4, 9, 1, 0, 0]), jnp.asarray([1, 1, 1, 1, 0, 0], bool)


@pytest.fixture(scope="module")
def model():
    """A model with untrained towers, and its parameters."""
    config = config_of("cross_the_gap", embed_dim=8)
    config.towers.image.update({"width": 16, "depth": 1})
    config.towers.text.update({"width": 8, "depth": 1, "vocab_size": 12})
    model = build_model(config, "cpu")
    batch = {"image": jnp.zeros((1, 32, 32, 3), jnp.uint8), "text": IDS[None], "text_mask": MASK[None]}
    return model, model.init(jax.random.key(0), batch)["params"]


def random_unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def test_a_pseudo_word_that_is_a_word_is_that_word(model):
    model, params = model
    encode, width = text_encoder(model, params, "text", np.asarray(IDS), np.asarray(MASK), 2)
    table = params["text"]["token_embedding"]
    found = encode(params, table[jnp.asarray([[5], [7]])])
    for row, word in enumerate((5, 7)):
        text = {"text": IDS.at[2].set(word)[None], "text_mask": MASK[None]}
        expected = model.apply({"params": params}, text)["text"].pooled
        np.testing.assert_allclose(found[row : row + 1], expected, rtol=1e-5, atol=1e-6)
    assert width == 8


def test_pseudo_patches_that_are_patches_make_the_picture(model):
    model, params = model
    encode, width = patch_encoder(model, params, "image")
    image = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)), jnp.uint8)
    features, state = model.apply(
        {"params": params}, {"image": image}, capture_intermediates=True, mutable=["intermediates"]
    )
    patches = state["intermediates"]["image"]["stem"]["__call__"][0].reshape(2, 16, width)
    np.testing.assert_allclose(encode(params, patches), features["image"].pooled, rtol=1e-4, atol=1e-6)
    one = encode(params, patches[:, :1])  # a single one is every patch
    np.testing.assert_allclose(one, encode(params, jnp.repeat(patches[:, :1], 16, axis=1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("towards", ["text", "image"])
def test_the_descent_comes_near_its_target_each_row_by_itself(model, towards):
    model, params = model
    if towards == "text":
        encode, width = text_encoder(model, params, "text", np.asarray(IDS), np.asarray(MASK), 2)
    else:
        encode, width = patch_encoder(model, params, "image")
    targets = np.asarray(
        encode(params, 0.5 * jax.random.normal(jax.random.key(5), (3, 1, width)))
    )  # what can be reached
    found, tokens = invert(encode, params, targets, width, Descent(steps=80))
    start = np.asarray(encode(params, 0.02 * jax.random.normal(jax.random.key(6), (3, 1, width))))
    assert np.sum(found * targets, 1).mean() > max(0.9, np.sum(start * targets, 1).mean())
    again = invert(encode, params, np.concatenate([targets[:1], -targets[1:]]), width, Descent(steps=80))[0]
    np.testing.assert_allclose(again[0], found[0], rtol=1e-4, atol=1e-5)
    assert tokens.shape == (3, 1, width)


def test_towers_that_cannot_be_inverted_into(model):
    model, params = model
    with pytest.raises(UserError, match="embeds no words"):
        text_encoder(model, params, "image", np.asarray(IDS), np.asarray(MASK), 2)
    with pytest.raises(UserError, match="has no patches"):
        patch_encoder(model, params, "text")
    with pytest.raises(UserError, match="no stream 'audio'"):
        patch_encoder(model, params, "audio")
    embeddings = Embeddings(None, config_of("cross_the_gap").data, 8, None)
    with pytest.raises(UserError, match="came without their model"):
        embeddings.model()


def test_where_pseudo_words_go():
    tokenizer = make_tokenizer("emoji", 10)
    for tokens in (1, 3):
        evaluation = InvertedRetrieval("x", template="a photo of", tokens=tokens)
        ids, mask, place = evaluation._template(tokenizer)
        (plain,), (real,) = tokenizer(["a photo of"])
        assert mask.sum() == real.sum() + tokens and place == real.sum() - 1
        np.testing.assert_array_equal(ids[:place], plain[:place])
        assert ids[place + tokens] == plain[place]  # the end of the text stays the end
    with pytest.raises(UserError, match="no room for 9"):
        InvertedRetrieval("x", tokens=9)._template(tokenizer)
    with pytest.raises(UserError, match="'image_2' has no words"):
        data = config_of("cross_the_gap").data
        InvertedRetrieval("x", streams=("image", "image_2"))._text_encoder(Embeddings(None, data, 8, None))


def test_mean_average_precision():
    gallery = np.stack([[1, 0], [0.9, 0.1], [0.4, 0.6], [0, 1]]).astype(np.float32)
    labels = np.array([0, 1, 0, 2])
    # Of row 0, its label is second of three; of row 2, third; rows 1 and 3 have no other row of their label.
    assert mean_average_precision(gallery, gallery, labels) == pytest.approx((1 / 2 + 1 / 3) / 2)
    with pytest.raises(UserError, match="no two records"):
        mean_average_precision(gallery, gallery, np.arange(4))
    with pytest.raises(UserError, match="all records have one label"):
        mean_average_precision(gallery[:2], gallery[:2], np.zeros(2, int))


def test_configs():
    for arg in ("", "slip", "full"):
        c.validate(config_of("cross_the_gap", arg))


@pytest.mark.slow
@pytest.mark.claim
def test_found_words_drop_what_captions_cannot_say(tmp_path):
    """mAP by shape, chance 0.125: as good as plain queries; better where a loss between views tells pictures apart."""
    plain, found = (f"val/inverted/{name}_to_image_mAP" for name in ("image", "oti"))
    clip, slip = (run("cross_the_gap", arm, workdir=tmp_path / (arm or "clip")) for arm in ("", "slip"))
    assert clip[plain] > 0.25 and abs(clip[found] - clip[plain]) < 0.03 and clip["val/inverted/oti_cosine"] > 0.8
    assert slip[found] > slip[plain] + 0.01
