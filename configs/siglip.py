"""SigLIP from scratch (Zhai et al. 2023, arXiv 2303.15343) on your own image-text pairs in webdataset tars.

Command: mmjax train --config=configs/siglip.py:b16 --workdir=runs/siglip
             --config.data.source='data/{00000..09999}.tar' --config.data.tokenizer=tokenizer.json
Cost:    mmjax plan --config=configs/siglip.py:b16 --topology=v4:4x4x2 prices it on any slice; docs/plan.md shows how.
         The paper's B/16 took 32 TPUv4 five days for 73.4 % zero-shot on ImageNet (table 1).

From the paper: the loss with temperature 1/10 and bias -10, batch 32,768, learning rate 1e-3, Adafactor as in Zhai et
al. 2022 (arXiv 2106.04560), towers with attention pooling and a text of 64 tokens, 9 billion examples. Its weight decay
of 1e-4 is not multiplied by the peak learning rate: 0.1 here, where it is. Its cap of 0.95 on the decay of the second
moment, which grows as 1 - t^-0.8, is left out; warm-up and cosine are this project's choice.
"""

from mmjax import config as c

# Size of the towers, patch, width of the shared space, and tokens of a caption (So400m at 224 pixels: 16).
SIZES = {"b16": ("B", 16, 768, 64), "l16": ("L", 16, 1024, 64), "so400m": ("So400m", 14, 1152, 16)}


def get_config(arg: str = "b16"):
    """`arg`: "b16", "l16" or "so400m"."""
    if arg not in SIZES:
        raise ValueError(f"unknown argument {arg!r}: one of {', '.join(SIZES)}")
    size, patch, width, context = SIZES[arg]
    config = c.default()
    config.duration = "9B examples"
    config.batch_size = 32_768
    config.embed_dim = width
    config.data.source = "data/{00000..09999}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 224
    config.data.resize = "squash"
    config.data.context = context
    config.data.threads = 16
    lean = {"scan": True, "remat": "full"}
    config.towers.image = c.tower("vit", f"siglip-{size}/{patch}", image_size=224, projection="none", **lean)
    config.towers.text = c.tower("text", f"siglip-{size}", context=context, projection="affine", **lean)
    config.objectives.contrastive = c.objective("sigmoid", temperature=0.1, bias=-10.0)
    config.optimizer.name = "adafactor"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 0.1
    config.optimizer.clip_norm = 1.0
    config.schedule.name = "cosine"
    config.schedule.warmup = "2%"
    config.checkpoint.every = "2000 steps"
    config.log.every = "50 steps"
    return config
