"""CoCa: what sees what in the text tower and the decoder, the captioning loss by hand, and one pass for both losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as c
from mmjax.encoders import Features, TextTransformer
from mmjax.errors import UserError
from mmjax.losses import caption_cross_entropy
from mmjax.objectives import OBJECTIVES, WeightedObjectives
from mmjax.objectives.decoder import QueryPool
from tests.papers.running import check_mesh, config_of, run

IDS = jnp.asarray([[5, 6, 7, 2, 0, 0], [8, 9, 2, 0, 0, 0], [3, 4, 5, 6, 7, 2]])
MASK = IDS != 0


def text_tower():
    return TextTransformer(vocab_size=16, context=6, width=8, depth=2, heads=2, pool="cls")


def text_features(ids=IDS, mask=MASK):
    tower = text_tower()
    params = tower.init(jax.random.key(0), IDS, mask=MASK)["params"]
    return tower.apply({"params": params}, ids, mask=mask)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def image_features(seed=1):
    return Features(normal(seed, 3, 8), normal(seed + 1, 3, 4, 10), None)


def captioning(features, batch, **options):
    """(loss, its parameters, a function of features and parameters) of the objective."""
    objective = OBJECTIVES["captioning"](vocabulary=16, heads=2, **options)
    params = objective.init(jax.random.key(3), features, batch, train=True)["params"]
    loss = lambda features, params=params: objective.apply({"params": params}, features, batch, train=True)[0]  # noqa: E731
    return loss(features), params, loss


def test_the_class_token_sees_no_padding_and_no_token_sees_it():
    pooled, tokens = text_features().pooled, text_features().tokens
    longer = jnp.where(MASK, IDS, 11)
    np.testing.assert_allclose(text_features(longer).pooled, pooled, rtol=1e-5)
    assert tokens.shape == (3, 6, 8)
    tower = text_tower()
    params = tower.init(jax.random.key(0), IDS, mask=MASK)["params"]
    tokens_of = lambda p: jnp.sum(tower.apply({"params": p}, IDS, mask=MASK).tokens ** 2)  # noqa: E731
    gradient = jax.grad(tokens_of)(params)
    assert np.all(gradient["class_embedding"] == 0) and np.any(gradient["token_embedding"] != 0)
    np.testing.assert_allclose(text_features(IDS[:, :4], MASK[:, :4]).tokens, tokens[:, :4], rtol=1e-5, atol=1e-6)


def test_a_text_of_padding_alone_is_finite():
    assert np.all(np.isfinite(text_features(0 * IDS, MASK & False).pooled))


def test_the_loss_by_hand():
    hidden, vocabulary = np.asarray(normal(4, 3, 6, 8), np.float64), np.asarray(normal(5, 16, 8), np.float64)
    losses = []
    for row, position in zip(*np.nonzero(np.asarray(MASK)), strict=True):
        z = vocabulary @ hidden[row, position]
        losses.append(np.log(np.exp(z).sum()) - z[IDS[row, position]])
    value = caption_cross_entropy(*(jnp.asarray(a, jnp.float32) for a in (hidden, vocabulary)), IDS, MASK)
    np.testing.assert_allclose(value, np.mean(losses), rtol=1e-5)


@pytest.mark.parametrize("block", [1, 4, 5])
def test_blocks_of_positions_give_the_same_value_and_gradients(block):
    def loss(hidden, vocabulary, block):
        return caption_cross_entropy(hidden, vocabulary, IDS, MASK, block=block)

    args = normal(4, 3, 6, 8), normal(5, 16, 8)
    whole, parts = (jax.value_and_grad(loss, (0, 1))(*args, b) for b in (0, block))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_blocks_hold_the_logits_of_a_block():
    """Of 64 positions and 4,096 tokens: the compiled gradient needs a fraction of the memory of all at once."""

    def temporaries(block):
        grad = jax.grad(lambda h, v, i: caption_cross_entropy(h, v, i, i > 0, block=block), (0, 1))
        shapes = [((4, 64, 8), jnp.float32), ((4096, 8), jnp.float32), ((4, 64), jnp.int32)]
        args = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
        return jax.jit(grad).lower(*args).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(4) < 0.2 * temporaries(0)


def test_tokens_that_do_not_count():
    hidden = jnp.where(MASK[..., None], normal(4, 3, 6, 8), jnp.nan)
    value, gradient = jax.value_and_grad(lambda h: caption_cross_entropy(h, normal(5, 16, 8), IDS, MASK))(hidden)
    assert np.isfinite(value) and np.all(gradient[~MASK] == 0) and np.all(np.isfinite(gradient))
    assert caption_cross_entropy(hidden, normal(5, 16, 8), IDS, MASK & False) == 0
    assert np.isnan(caption_cross_entropy(normal(4, 3, 6, 8), normal(5, 7, 8), IDS, MASK))  # a token past the end
    with pytest.raises(ValueError, match="vocabulary"):
        caption_cross_entropy(hidden, normal(5, 16, 7), IDS, MASK)
    with pytest.raises(ValueError, match="block is -1"):
        caption_cross_entropy(hidden, normal(5, 16, 8), IDS, MASK, block=-1)


@pytest.mark.parametrize("queries", [0, 3])
def test_a_token_is_predicted_from_earlier_ones_and_the_picture(queries):
    """The loss of a caption's first tokens knows nothing of later ones, of the class token, nor of another picture."""
    features = {"image": image_features(), "text": text_features()}
    first = {"text": IDS, "text_mask": MASK}
    only = lambda features, n: {  # noqa: E731
        **features,
        "text": features["text"].replace(mask=MASK & (jnp.arange(6)[None] < n)),
    }
    _, params, loss = captioning(features, first, queries=queries)
    changed = text_features(IDS.at[:, 2:].set(12))
    for n in (1, 2, 3):  # the third token is predicted from the first two
        np.testing.assert_allclose(loss(only(features, n)), loss(only({**features, "text": changed}, n)), rtol=1e-6)
    assert not np.isclose(loss(only(features, 4)), loss(only({**features, "text": changed}, 4)), rtol=1e-6)
    assert not np.isclose(loss(features), loss({**features, "image": image_features(7)}), rtol=1e-6)
    pooled = jax.grad(lambda p: loss({**features, "text": features["text"].replace(pooled=p)}))(features["text"].pooled)
    assert np.all(pooled == 0)
    gradient = jax.grad(lambda params: loss(features, params))(params)
    assert all(np.all(np.isfinite(g)) and np.any(g != 0) for g in jax.tree.leaves(gradient) if g.size > 8)


def test_rows_without_picture_or_caption_have_no_part():
    features = {"image": image_features(), "text": text_features()}
    there = {"image_present": jnp.asarray([1, 0, 1], bool), "text_present": jnp.asarray([1, 1, 0], bool)}
    batch = {"text": IDS, **there}
    value, _, loss = captioning(features, batch)

    def dirty(tokens):
        tokens = jnp.where(there["image_present"][:, None, None], tokens, jnp.nan)
        return loss({**features, "image": features["image"].replace(tokens=tokens)})

    dirtied, gradient = jax.value_and_grad(dirty)(features["image"].tokens)
    np.testing.assert_allclose(dirtied, value, rtol=1e-6)
    assert np.any(gradient[0] != 0) and np.all(gradient[1:] == 0)


def test_queries_gather_only_real_tokens():
    spec = OBJECTIVES["captioning"](heads=2, parent=None).spec(normal(0, 3, 4, 8))
    pool, tokens = QueryPool(spec, 5), normal(1, 3, 4, 10)
    mask = jnp.asarray([[1, 1, 0, 0]] * 3, bool)
    params = pool.init(jax.random.key(0), tokens)
    gathered = pool.apply(params, tokens, mask)
    assert gathered.shape == (3, 5, 8)
    np.testing.assert_allclose(gathered, pool.apply(params, tokens[:, :2]), rtol=1e-5, atol=1e-6)


def test_both_losses_share_one_pass_of_each_tower():
    """A tower's products are in the compiled step once, whether or not captions are predicted."""
    from mmjax.data.pipeline import TrainPipeline
    from mmjax.training.experiment import build_experiment
    from mmjax.training.flops import count_jaxpr_flops

    def flops(arg):
        config = config_of("coca", arg, batch_size=8, **{"towers.image.depth": 6, "towers.text.depth": 6})
        pipeline = TrainPipeline(config.data, tuple(config.streams), 0, 8)
        experiment = build_experiment(config, examples=64, batch_shapes=pipeline.batch(0), devices=jax.devices()[:1])
        decoder = experiment.state.params["objective"].get("captioning", {})
        return count_jaxpr_flops(experiment.trace_step().jaxpr.jaxpr), sum(x.size for x in jax.tree.leaves(decoder))

    (both, decoder), (one, _) = flops(""), flops("contrastive")
    config = config_of("coca")
    positions = 8 * (config.data.context + config.towers.image.image_size**2 // config.towers.image.patch_size**2)
    assert both - one < 6 * decoder * positions  # the decoder's own products, forward and backward, and no tower's


def test_bad_options():
    features = {"image": Features(normal(0, 3, 8)), "text": text_features()}
    with pytest.raises(ValueError, match="makes no tokens"):
        captioning(features, {"text": IDS})
    features["image"] = image_features()
    with pytest.raises(UserError, match="no features 'patches'"):
        WeightedObjectives((("captioning", "captioning", {"vocabulary": 16, "relevance": ("patches", "text")}),)).init(
            jax.random.key(0), features, {"text": IDS}, train=True
        )
    with pytest.raises(UserError, match="heads"):
        OBJECTIVES["captioning"](vocabulary=16, heads=3).init(jax.random.key(0), features, {"text": IDS}, train=True)


@pytest.mark.slow
def test_the_same_on_any_mesh():
    small = {"batch_size": 16, "embed_dim": 8, "towers.image.width": 8, "towers.text.width": 8}
    heads = {"towers.image.heads": 2, "towers.text.heads": 2, "objectives.captioning.heads": 2}
    check_mesh(config_of("coca", **small, **heads, **{"towers.image.depth": 1, "objectives.captioning.block": 5}))


def test_full_recipe():
    config = config_of("coca", "full")
    c.validate(config)
    assert config.batch_size == 65_536 and config.objectives.captioning.queries == 256


@pytest.mark.slow
@pytest.mark.claim
def test_captioning_helps_retrieval(tmp_path):
    """R@1 of 1,000 scenes, chance 0.001, with the caption loss and without; measured: 10 points apart or more."""
    key = "val/test/image_to_text_R@1"
    both, contrast = (run("coca", arm, workdir=tmp_path / (arm or "both"))[key] for arm in ("", "contrastive"))
    assert both > contrast + 0.03 and both > 0.35
