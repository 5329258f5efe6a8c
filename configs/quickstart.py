"""A small image-text model from scratch on the emoji that ship with the package.

Command: mmjax train --config=configs/quickstart.py --workdir=runs/quickstart
"""

from mmjax import config as c


def get_config(arg: str = ""):
    config = c.default()
    config.duration = "3000 steps"
    config.embed_dim = 128
    config.ema_decay = 0.99
    config.streams.image_2 = "image"
    config.data.image_size = 32
    config.data.captions = (("{label}", 0.5), ("{label}, {tags}", 0.4), ("{tags}", 0.1))
    config.data.augment.affine = c.augment("affine", scale=(0.75, 1.2), aspect=0.1, shift=0.09)
    config.data.augment.flip = c.augment("flip", probability=0.5)
    config.towers.image = c.tower("mlp", image_size=32, shrink=2, width=1024, depth=2, act="gelu_tanh", norm="rms")
    config.towers.text = c.tower(
        "text",
        vocab_size=2048,
        context=16,
        width=128,
        depth=1,
        heads=2,
        pool="mean",
        mask_padding=True,
        act="gelu_tanh",
        norm="rms",
    )
    config.objectives.image_text = c.objective("softmax", weight=0.5)
    config.objectives.image_2_text = c.objective("softmax", streams=("image_2", "text"), weight=0.5)
    config.objectives.image_image = c.objective("softmax", streams=("image", "image_2"))
    config.optimizer.learning_rate = 2e-3
    config.optimizer.no_decay += "|token_embedding"
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup = "40 steps"
    config.schedule.end = 0.02
    config.evaluations.style = c.evaluation("retrieval", source="emoji:style", captions="{label}")
    config.evaluations.unseen = c.evaluation("retrieval", source="emoji:unseen", captions="{label}")
    config.evaluations.group = c.evaluation("zero_shot", source="emoji:unseen", label="group", templates=("{c}",))
    return config
