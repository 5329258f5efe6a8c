"""A run of seconds for tests: the real data, a model of a few thousand parameters, every random part switched on.

Command: mmjax train --config=tests/tiny.py --workdir=DIR
"""

from mmjax import config as c


def get_config(arg: str = ""):
    """`arg`: number of steps, 12 by default."""
    config = c.default()
    config.duration = f"{arg or 12} steps"
    config.batch_size = 16
    config.embed_dim = 16
    config.ema_decay = 0.9
    config.data.image_size = 16
    config.data.captions = (("{label}", 0.5), ("{label}, {tags}", 0.5))
    config.data.augment.flip = c.augment("flip", probability=0.5)
    config.data.threads = 1
    config.towers.image = c.tower(
        "vit", image_size=16, patch_size=8, width=16, depth=1, heads=2, pool="mean", drop_path=0.2, patch_dropout=0.25
    )
    config.towers.text = c.tower(
        "text", vocab_size=2048, context=16, width=16, depth=1, heads=2, pool="mean", dropout=0.1
    )
    config.objectives.contrastive = c.objective("softmax")
    config.log.every = "1 steps"
    config.checkpoint.every = "4 steps"
    config.evaluations.unseen = c.evaluation(
        "retrieval", source="emoji:validation-unseen", captions="{label}", every="100%"
    )
    return config
