"""LiT: LiT: Zero-Shot Transfer with Locked-image text Tuning (Zhai et al. 2022, arXiv 2111.07991).

Does:     Trains a text tower to a picture tower that is trained already and locked: CLIP's loss, with the pictures'
          tower and projection at learning rate 0, by a rule of the optimiser; no gradient of theirs is computed.
Files:    mmjax/training/optimizer.py, mmjax/training/init_from.py, mmjax/objectives/contrastive.py
Differs:  from the paper: on made-up vectors; the picture tower learns from pairs of pictures of one cause, not from
          labels; in "full" the optimiser is Adafactor as big_vision has it. From its released code: nothing known.
Command:  mmjax sweep --config=configs/papers/lit.py --workdir=runs/papers/lit
Cost:     1 minute on 2 cores (4 cells x 3 seeds, 300 steps).
Claim:    With few pairs (256) a locked tower gives better retrieval than one that is trained on, and that one better
          than a tower from scratch: the order Lu > Uu > uu of the paper's figure 3.
Result:   R@1 of 1,000, picture to text: locked 39.0 +- 1.7 %, unlocked 34.1 +- 1.7, scratch 17.7 +- 2.2; text to
          picture 40.1 +- 1.6, 35.0 +- 1.6, 18.3 +- 0.9 (chance 0.1).
Verdict:  holds.
"""

from mmjax import config as c
from mmjax.experiments import recipes

# What pictures, texts and second pictures see of one cause; two pictures of a cause stand for a labelled set.
VIEWS = "shared=16,widths=64/48/64,noise=0.5"
PICTURE, TEXT, OTHER_PICTURE = "vector", "vector_2", "vector_3"
ARMS = ("tower", "locked", "unlocked", "scratch")


def get_config(arg: str = "locked"):
    """`arg`: tower, the picture tower alone; locked, unlocked or scratch, texts to it by 256 pairs; full."""
    if arg == "full":
        return _full()
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    config = c.default()
    config.duration = "300 steps"
    config.batch_size = 128
    config.embed_dim = 32
    del config.streams.image, config.streams.text
    # The space is the tower's own: the pictures' projection is locked with it.
    config.streams[PICTURE] = PICTURE
    config.towers[PICTURE] = c.tower("vector", hidden=128)
    config.optimizer.learning_rate = 2e-3
    (_pictures if arg == "tower" else _texts)(config)
    if arg == "locked":
        config.optimizer.rules = ((f"model/{PICTURE}(_projection)?/", 0.0, 0.0),)
    return config


def _pictures(config):
    """Two pictures of one cause together, 8,192 causes, no texts."""
    config.data.source = f"latent:train,count=8192,{VIEWS}"
    config.streams[OTHER_PICTURE] = OTHER_PICTURE
    config.towers[OTHER_PICTURE] = c.tower("vector", hidden=128)
    config.objectives.pictures = c.objective("softmax", streams=(PICTURE, OTHER_PICTURE))


def _texts(config):
    """Texts of other causes, few of them."""
    config.data.source = f"latent:train_2,count=256,{VIEWS}"
    config.streams[TEXT] = TEXT
    config.towers[TEXT] = c.tower("vector", hidden=128)
    config.objectives.contrastive = c.objective("softmax", streams=(PICTURE, TEXT))
    config.evaluations.test = c.evaluation(
        "cross_retrieval", source=f"latent:test,count=1000,{VIEWS}", streams=(PICTURE, TEXT), every="100%"
    )


def _full():
    """A ViT-g/14 that comes with `init_from`, locked, and a text tower of 24 layers: 18 billion pairs, batch 32,768."""
    config = c.default()
    config.duration = "18B examples"
    config.batch_size = 32_768
    config.embed_dim = 1408
    config.data.source = "data/{00000..39999}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 280
    config.data.context = 16
    config.data.threads = 16
    config.towers.image = c.tower("vit", "g/14", image_size=280, pool="map", projection="none", **recipes.LEAN)
    config.towers.text = c.tower("text", "L", vocab_size=32_000, context=16, pool="mean", **recipes.LEAN)
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
        metrics=("val/test/vector_to_vector_2_R@1", "val/test/vector_2_to_vector_R@1"),
    )
