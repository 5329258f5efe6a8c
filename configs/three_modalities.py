"""Three modalities from scratch on the emoji that ship with the package: flat art, Fluent's renderings, English text.

Command: mmjax train --config=configs/three_modalities.py:pairwise --workdir=runs/three

`image` is a Noto or Twemoji picture, `image_2` the Fluent one with a tower of its own, `text` a caption. 463 of the
1304 concepts have no Fluent picture, and of another 10 % the caption is withheld, so that a batch of 128 has about 74
complete samples. `symile` and `gram` train on products and volumes of all three instead of pairs.

Cost:    70 to 90 s of one CPU core (600 steps).
Result:  R@1 in percent, seed 0; `unseen` are 217 concepts of which nothing was trained (chance 0.5), `absent` 373
         concepts that were trained without the Fluent picture they are found by (chance 0.3).

                                     pairwise  symile  gram
         unseen, image -> text            7.8     1.4   5.1
         unseen, image -> image_2        27.2     1.8  15.2
         unseen, image+image_2 -> text    6.9     3.7   5.5
         unseen, image+text -> image_2   16.1    10.1  12.9
         unseen, image_2+text -> image   20.3     7.4  10.1
         absent, image_2 -> text         11.8     0.0   0.8

Products and volumes of three are learned for queries of two, which they answer far above chance; a Symile model
never compares two alone, and hardly can. 42 % of the samples lack a modality, and are anchors for pairs only. On so
little data pairs win here throughout.
"""

from mmjax import config as c

STREAMS = ("image", "image_2", "text")
# What two embeddings of a query make, as the objective scores three.
COMPOSE = {"pairwise": "sum", "symile": "product", "gram": "volume"}
TEMPERATURES = {"pairwise": 0.07, "symile": 0.01, "gram": 0.07}  # products of three unit vectors are small


def get_config(arg: str = "pairwise"):
    """`arg`: pairwise, symile or gram."""
    if arg not in COMPOSE:
        raise ValueError(f"unknown argument {arg!r}: {', '.join(COMPOSE)}")
    config = c.default()
    config.duration = "600 steps"
    config.batch_size = 128
    config.embed_dim = 128
    config.ema_decay = 0.99
    config.objectives[arg] = c.objective(arg, streams=STREAMS, temperature=TEMPERATURES[arg])
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.3
    config.optimizer.no_decay += "|token_embedding"
    config.schedule.warmup = "30 steps"
    config.schedule.end = 0.02
    _data(config)
    _towers(config)
    # Concepts of which nothing was seen; and those that were trained without their Fluent picture.
    config.evaluations.unseen = _retrieval("emoji:unseen", STREAMS, COMPOSE[arg])
    config.evaluations.absent = _retrieval("emoji:style", ("image_2", "text"), "")
    return config


def _data(config):
    config.data.streams.image = c.stream("image", image_keys=("noto.webp", "twemoji.webp"))
    config.data.streams.image_2 = c.stream("image", image_keys=("fluent.webp",))
    config.data.streams.text = c.stream("text", missing=0.1)
    config.data.image_size = 32
    config.data.captions = (("{label}", 0.5), ("{label}, {tags}", 0.4), ("{tags}", 0.1))
    config.data.augment.affine = c.augment("affine", rotate=10.0)
    config.data.augment.flip = c.augment("flip")


def _towers(config):
    """As in quickstart.py, half as wide: a plain network on 16 x 16 pixels, and a mean of contextual tokens."""
    picture = {"image_size": 32, "width": 512, "depth": 3, "dropout": 0.2, "act": "gelu_tanh", "norm": "rms"}
    config.towers.image = c.tower("mlp", **picture)
    config.towers.image_2 = c.tower("mlp", **picture)
    config.streams.image_2 = "image_2"
    text = {"vocab_size": 2048, "context": 16, "width": 128, "depth": 1, "heads": 2}
    config.towers.text = c.tower("text", **text, pool="mean", mask_padding=True, act="gelu_tanh", norm="rms")


def _retrieval(source, streams, compose):
    return c.evaluation(
        "cross_retrieval", source=source, streams=streams, captions="{label}", compose=compose, every="100%"
    )
