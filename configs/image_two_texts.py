"""Pictures, captions and a second text of each, all three told apart together by Symile (arXiv 2411.01053).

Command: mmjax train --config=configs/image_two_texts.py --workdir=runs/two_texts
             --config.data.source='data/{00000..00999}.tar' --config.data.tokenizer=tokenizer.json
Cost:    mmjax plan --config=configs/image_two_texts.py --topology=v5e:4x4; docs/plan.md shows how.

Every sample is a picture with a caption `txt` and a second text `txt2`, such as a translation or a transcript, which
has a tower of its own and may be missing. Towers as in configs/siglip.py at B/16; batch and schedule are this
project's.
"""

from mmjax import config as c

STREAMS = ("image", "text", "text_2")


def get_config(arg: str = ""):
    """`arg`: negatives, "n" (one shuffle of the batch, the default) or "n_squared" (all products)."""
    config = c.default()
    config.duration = "100M examples"
    config.batch_size = 8192
    config.embed_dim = 768
    config.data.source = "data/{00000..00999}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 224
    config.data.context = 64
    config.data.threads = 16
    config.streams.text_2 = "text_2"
    config.data.streams.text_2 = c.stream("text", captions=(("{txt2}", 1.0),))
    lean = {"scan": True, "remat": "full"}
    config.towers.image = c.tower("vit", "siglip-B/16", image_size=224, projection="none", **lean)
    for text in ("text", "text_2"):
        config.towers[text] = c.tower("text", "siglip-B", projection="affine", **lean)
    config.objectives.contrastive = c.objective("symile", streams=STREAMS, negatives=arg or "n")
    config.optimizer.learning_rate = 5e-4
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup = "2%"
    return config
