"""CoCa: Contrastive Captioners are Image-Text Foundation Models (Yu et al. 2022, arXiv 2205.01917).

TODO
"""

from mmjax import config as c

TEST = "synthetic:test,things=2,side=32,count=1000"


def get_config(arg: str = ""):
    """`arg`: "" for both losses, "contrastive" for the contrastive one alone, "full" for the paper's CoCa-Base."""
    if arg == "full":
        return _full()
    if arg not in ("", "contrastive"):
        raise ValueError(f"unknown argument {arg!r}: none, 'contrastive' or 'full'")
    config = c.default()
    config.duration = "600 steps"
    config.batch_size = 128
    config.embed_dim = 64
    scenes(config)
    towers(config)
    config.objectives.contrastive = c.objective("softmax", weight=1.0)
    if not arg:
        config.objectives.captioning = c.objective("captioning", weight=2.0, vocabulary=2048, queries=8)
    return config


def scenes(config):
    """Two things and where they lie to one another, made up; told from the same with the things exchanged."""
    config.data.source = "synthetic:train,things=2,side=32,count=4096"
    config.data.image_size = 32
    config.data.captions = (("{caption}", 1.0),)
    config.data.threads = 2
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup = "30 steps"
    config.evaluations.test = c.evaluation("retrieval", source=TEST, captions="{caption}", every="100%")
    config.evaluations.order = c.evaluation(
        "caption_choice", source=TEST, captions="{caption}", foils=("{swapped}",), every="100%"
    )


def towers(config, pool: str = "map"):
    """Sixteen patches, and a causal text whose class token comes last."""
    config.towers.image = c.tower("vit", image_size=32, patch_size=8, width=64, depth=2, heads=4, pool=pool)
    config.towers.text = c.tower("text", vocab_size=2048, context=16, width=64, depth=1, heads=4, pool="cls")


def _full():
    """CoCa-Base: ViT-B/18 at 288 pixels, twelve text layers in each half, batch 65,536, 500,000 steps."""
    config = c.default()
    return config


def get_sweep():
    """Both losses against the contrastive one alone."""
    return c.sweep(
        {"coca": {}, "contrastive": {"arg": "contrastive"}},
        seeds=(0, 1, 2),
        baseline="contrastive",
        metrics=("val/test/image_to_text_R@1", "val/test/text_to_image_R@1", "val/order/accuracy"),
    )
