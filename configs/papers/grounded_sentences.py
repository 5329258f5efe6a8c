"""VGS"""

from mmjax import config as c

CONTEXT = 48


def get_config(arg: str = ""):
    """`arg`: "" for made-up scenes described in one sentence, spelled by letters; "untrained"; "full" for photos."""
    if arg == "full":
        return _full()
    if arg not in ("", "untrained"):
        raise ValueError(f"unknown argument {arg!r}: none, untrained or full")
    config = c.default()
    config.duration = "1 steps" if arg else "600 steps"
    config.batch_size = 64
    config.embed_dim = 64
    config.data.source = "synthetic:train,count=1000,side=16"
    config.data.image_size = 16
    config.data.captions = (("{caption}", 1.0),)
    config.towers.image = c.tower("mlp", image_size=16, shrink=1, width=128, depth=2)
    _sentences(config, CONTEXT, width=128)
    config.optimizer.learning_rate = 2e-3
    config.schedule.warmup = "40 steps"
    config.evaluations.scenes = c.evaluation(
        "retrieval", source="synthetic:test,count=200,side=16", captions="{caption}", every="100%"
    )
    return config


def _sentences(config, context, *, width):
    """A recurrent unit over bytes, and the batch's hinge."""
    config.data.tokenizer = "bytes"
    config.data.context = context
    config.towers.text = c.tower("gru", vocab_size=259, context=context, width=width)
    config.objectives.hinge = c.objective("hinge", margin=0.2)


def _full():
    """Photos with five sentences each, ResNet's part taken by a frozen ViT that comes with `init_from`; batch 100."""
    config = c.default()
    config.duration = "32 epochs"
    config.batch_size = 100
    config.embed_dim = 2048
    config.data.source = "data/coco-train/{00000..00112}.tar"
    config.data.image_size = 224
    config.towers.image = c.tower("vit", "B/16", image_size=224, pool="mean", scan=True, remat="full")
    _sentences(config, 256, width=1024)
    config.optimizer.rules = (("model/image/", 0.0, 0.0),)
    config.optimizer.learning_rate = 1e-4
    return config


def get_sweep():
    """Trained on scenes, and as it starts."""
    return c.sweep(
        {"grounded": {}, "untrained": {"arg": "untrained"}},
        baseline="untrained",
        metrics=("val/scenes/text_to_image_R@1",),
    )
