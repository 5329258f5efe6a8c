"""XMAI: Cross-Modal Attribute Insertions for Assessing Robustness (Ramshetty et al. 2023, arXiv 2306.11065).

Does:     inserts before every noun the word of largest (scaled likelihood + likeness to a true attribute + distance of
          the new caption from the picture), each scaled to 0 .. 1, and measures how far retrieval falls.
Files:    mmjax/evaluation/attribute_insertion.py
Differs:  from the paper: likelihood is how often a word stands before the noun in the source's captions, not a masked
          language model's; likeness is that of the model's own text tower. As in its code, a row of equal numbers is 1.
Command:  mmjax sweep --config=configs/papers/xmai.py --workdir=runs/papers/xmai
Cost:     35 s of one core a run (2 arms x 3 seeds).
Claim:    insertion lowers MRR by about 15 % of it; true attributes that the caption left out raise it.
Result:   MRR over 1,000 pictures (chance .0075), trained on whole captions and half of the time on captions without
          attributes (plain): .022 +- .005 and .058 +- .010 without attributes, .147 +- .015 and .225 +- .010 with each
          noun's true colour. The words chosen at weights 1, 1, 1 lower it by 24 +- 25 and 59 +- 6 % (28 % of them
          true), at weights 0, 0, 1 by 91 +- 2 and 96 +- 1 %.
Verdict:  partly holds: insertion lowers MRR and true attributes raise it, in all three seeds of both arms, but by more
          than in the paper. The arm plain is the one to read, for the other hardly knows captions without attributes;
          there the drop is four times the paper's, since candidates are colours, all but one of them wrong.
"""

from mmjax import config as c
from mmjax.experiments import recipes

TEST = "synthetic:test,things=2,side=32,count=1000"
PLAIN = "a {shape} {relation} a {shape_2}"


def get_config(arg: str = ""):
    """`arg`: "" trains on whole captions, "plain" half of the time on captions without attributes; "full": CLIP."""
    if arg == "full":
        return _full()
    if arg not in ("", "plain"):
        raise ValueError(f"unknown argument {arg!r}: none, 'plain' or 'full'")
    config = c.default()
    config.duration = "500 steps"
    config.batch_size = 128
    config.embed_dim = 64
    config.data.source = "synthetic:train,things=2,side=32,count=8192"
    config.data.image_size = 32
    config.data.threads = 1
    config.data.captions = (("{caption}", 1.0),) + ((PLAIN, 1.0),) * bool(arg)
    config.towers.image = c.tower("mlp", image_size=32, shrink=1, width=256, depth=2)
    config.towers.text = c.tower(
        "text", vocab_size=2048, context=16, width=64, depth=1, heads=4, pool="mean", causal=False, mask_padding=True
    )
    config.objectives.contrastive = c.objective("softmax")
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup = "30 steps"
    config.evaluations.inserted = _inserted(weights=(1.0, 1.0, 1.0))
    config.evaluations.adversarial = _inserted(weights=(0.0, 0.0, 1.0))
    return config


def _inserted(weights):
    attributes = (("colour", "size"), ("colour_2", "size_2"))
    return c.evaluation(
        "attribute_insertion",
        source=TEST,
        captions=PLAIN,
        nouns=("shape", "shape_2"),
        attributes=attributes,
        weights=weights,
    )


def _full():
    """CLIP ViT-B/32 on MSCOCO's captions, the paper's main model; its evaluation needs annotated attributes."""
    config = c.default()
    config.duration = "12.8B examples"
    config.batch_size = 32_768
    config.embed_dim = 512
    config.data.source = "data/{00000..09999}.tar"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, act="quick_gelu", **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-B/32", act="quick_gelu", **recipes.LEAN)
    config.objectives.contrastive = c.objective("softmax")
    config.optimizer.learning_rate = 5e-4
    config.schedule.warmup = "2000 steps"
    return config


def get_sweep():
    """Captions with all attributes, or half of them with none."""
    names = ("MRR", "true_MRR", "inserted_MRR", "MRR_drop", "true_share")
    return c.sweep(
        {"xmai": {}, "plain": {"arg": "plain"}},
        seeds=(0, 1, 2),
        metrics=(*(f"val/inserted/{name}" for name in names), "val/adversarial/MRR_drop"),
    )
