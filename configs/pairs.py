"""A CLIP of two small towers on your own image-text pairs in webdataset tars (img2dataset's layout).

Command: mmjax train --config=configs/pairs.py:data/val.tar --workdir=runs/pairs
             --config.data.source='data/{00000..00009}.tar' --config.data.tokenizer=tokenizer.json

Cost and result: whatever your data and devices make of it; 22 M and 22 M parameters beside the token embeddings.
Every name below can be changed on the command line.
"""

from mmjax import config as c


def get_config(arg: str = ""):
    """`arg`: tars on which retrieval is measured every epoch; none: nothing is measured."""
    config = c.default()
    config.duration = "30 epochs"
    config.batch_size = 1024
    config.embed_dim = 384
    config.data.source = "data/{00000..00009}.tar"
    config.data.captions = (("{txt}", 1.0),)
    config.data.image_size = 224
    config.data.context = 64
    config.data.threads = 8
    config.data.augment.crop = c.augment("crop", scale=(0.9, 1.0))
    config.towers.image = c.tower("vit", "S/16", image_size=224, pool="mean", scan=True)
    config.towers.text = c.tower("text", "S", context=64, vocab_size=49408, pool="mean", mask_padding=True, scan=True)
    config.objectives.contrastive = c.objective("softmax")
    config.optimizer.learning_rate = 5e-4
    config.optimizer.weight_decay = 0.2
    config.schedule.warmup = "2%"
    config.checkpoint.every = "1 epoch"
    if arg:
        config.evaluations.val = c.evaluation("retrieval", source=arg, every="1 epoch")
    return config
