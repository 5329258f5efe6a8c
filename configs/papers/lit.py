"""LIT"""

from mmjax import config as c

# The last digit of an emoji's key: about 200 of the 1,304 concepts have captions for these.
FEW = (("key", "contains", "a"),)
ARMS = ("tower", "locked", "unlocked", "scratch")


def get_config(arg: str = "locked"):
    """`arg`: tower, the picture tower alone; locked, unlocked or scratch, texts to it by few pairs; full."""
    if arg == "full":
        return _full()
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    config = c.default()
    config.duration = "300 steps"
    config.batch_size = 64
    config.embed_dim = 64
    config.data.image_size = 16
    config.data.augment.affine = c.augment("affine", scale=(0.75, 1.2), aspect=0.1, shift=0.09, rotate=10.0)
    # The space is the tower's own: the pictures' projection is locked with it.
    config.towers.image = c.tower("mlp", image_size=16, shrink=1, width=256, depth=2)
    config.optimizer.learning_rate = 2e-3
    config.schedule.warmup = "40 steps"
    (_pictures if arg == "tower" else _texts)(config)
    if arg == "locked":
        config.optimizer.rules = (("model/image(_projection)?/", 0.0, 0.0),)
    return config


def _pictures(config):
    """Two styles of one concept together, all concepts, no captions."""
    config.duration = "600 steps"
    del config.streams.text
    config.streams.image_2 = "image"
    config.objectives.styles = c.objective("softmax", streams=("image", "image_2"))


def _texts(config):
    """Captions of few concepts."""
    config.data.where = FEW
    config.data.captions = (("{label}", 0.6), ("{label}, {tags}", 0.4))
    config.towers.text = c.tower("text", vocab_size=2048, context=16, width=64, depth=0, heads=2, pool="mean")
    config.objectives.contrastive = c.objective("softmax")
    for split in ("style", "unseen"):
        config.evaluations[split] = c.evaluation("retrieval", source=f"emoji:{split}", captions="{label}", every="100%")


def _full():
    """A ViT-g/14 that comes with `init_from`, locked, and a text tower of 24 layers: 18 billion pairs, batch 32,768."""
    config = c.default()
    config.duration = "18B examples"
    config.batch_size = 32_768
    config.embed_dim = 1408
    config.data.source = "data/{00000..39999}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 288
    config.data.context = 16
    config.data.threads = 16
    lean = {"scan": True, "remat": "full"}
    config.towers.image = c.tower("vit", "g/14", image_size=280, pool="map", projection="none", **lean)
    config.data.image_size = 280
    config.towers.text = c.tower("text", "L", vocab_size=32_000, context=16, **lean)
    config.objectives.contrastive = c.objective("softmax")
    config.optimizer.name = "adafactor"
    config.optimizer.rules = (("model/image/", 0.0, 0.0),)
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup = "10000 steps"
    config.checkpoint.every = "2000 steps"
    return config


def get_sweep():
    """The picture tower, then texts to it: locked, trained on with them, and with a new tower."""
    tower = {"init_from": "{workdir}/tower/seed_{seed}"}
    return c.sweep(
        {
            "tower": {"arg": "tower"},
            "locked": {"arg": "locked", **tower},
            "unlocked": {"arg": "unlocked", **tower},
            "scratch": {"arg": "scratch"},
        },
        baseline="scratch",
        metrics=("val/style/image_to_text_R@10", "val/unseen/image_to_text_R@10"),
    )
