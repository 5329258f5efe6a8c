"""ITM"""

from mmjax import config as c

ARMS = {"both": "both", "text_negatives": "x_to_y", "image_negatives": "y_to_x"}


def get_config(arg: str = "both"):
    """`arg`: both, text_negatives (of each image) or image_negatives (of each text) on the emoji; full for photos."""
    if arg != "full" and arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    config = c.default()
    (_full if arg == "full" else _emoji)(config)
    config.objectives.hinge = c.objective("hinge", margin=0.2, direction=ARMS.get(arg, "both"))
    return config


def _emoji(config):
    """A perceptron on 16 x 16 pixels, and the mean of word pieces."""
    config.duration = "300 steps"
    config.batch_size = 64
    config.embed_dim = 64
    config.data.image_size = 16
    config.data.captions = (("{label}", 0.6), ("{label}, {tags}", 0.4))
    config.data.augment.affine = c.augment("affine", scale=(0.75, 1.2), aspect=0.1, shift=0.09, rotate=10.0)
    config.towers.image = c.tower("mlp", image_size=16, shrink=1, width=256, depth=2)
    config.towers.text = c.tower("text", vocab_size=2048, context=16, width=64, depth=0, heads=2, pool="mean")
    config.optimizer.learning_rate = 2e-3
    config.schedule.warmup = "40 steps"
    style = {"source": "emoji:style", "captions": "{label}", "every": "100%"}
    config.evaluations.style = c.evaluation("retrieval", **style)


def _full(config):
    """Features of a frozen network, an affine map into the shared space, and a recurrent sentence encoder."""
    config.duration = "30 epochs"
    config.batch_size = 128
    config.embed_dim = 1024
    config.data.source = "data/flickr30k-train/{00000..00029}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.context = 64
    config.towers.image = c.tower(
        "vit", "B/16", image_size=224, pool="mean", projection="affine", scan=True, remat="full"
    )
    config.data.image_size = 224
    config.towers.text = c.tower("gru", vocab_size=16_384, context=64, width=1024)
    config.optimizer.learning_rate = 2e-4
    config.optimizer.rules = (("model/image/", 0.0, 0.0),)


def get_sweep():
    """Negatives on both sides, and on either alone."""
    return c.sweep(
        {arm: {"arg": arm} for arm in ARMS},
        baseline="both",
        metrics=("val/style/image_to_text_R@1", "val/style/text_to_image_R@1"),
    )
