"""ComCLIP: Training-Free Compositional Image and Text Matching (Jiang et al. 2022, arXiv 2211.13854).

Does:     f = f(x) + sum_k w_k f(x_k) over a picture's parts x_k (subject, object, both), w_k = <word_k, f(x_k)> over
          their sum; the score is cos(f, caption). Nothing is trained for it.
Files:    mmjax/evaluation/part_composition.py
Differs:  from the paper: boxes are the scene's own, not a detector's, and words are the caption's own fields, not a
          language model's parse; the rest of a part's picture is its median colour. From its code: products below 0
          count as 0, where raw ones over their sum can be anything, and no example is dropped.
Command:  mmjax sweep --config=configs/papers/comclip.py --workdir=runs/papers/comclip
Cost:     35 s of one core a run (2 arms x 3 seeds).
Claim:    composed scores tell captions with one wrong thing, with colours exchanged, and with the relation turned round
          better than the whole picture does.
Result:   composed against whole pictures, trained on single things: one wrong thing 59.2 +- 10.3 against 66.5 +- 6.7 %,
          colours exchanged 54.1 +- 2.5 against 50.2 +- 2.0, relation turned round 51.8 +- 0.6 against 51.2 +- 0.6;
          trained on both: 91.7 +- 1.4 against 98.2 +- 0.3, 67.9 +- 2.4 against 85.1 +- 2.0, 55.0 +- 3.7 against 57.6 +-
          2.8.
Verdict:  partly holds: a model of single things, to which whole pictures say nothing about whose colour is whose, gets
          some of it back from their parts, in all three seeds. Everywhere else parts cost accuracy: their weights,
          divided by their sum, hardly tell a true caption from one with colours exchanged.
"""

from mmjax import config as c
from mmjax.experiments import recipes

TEST = "synthetic:test,things=2,side=32,count=1000"
# Every part of a caption, and the box that shows it: the first thing, the second, both.
PARTS = (("a {size} {colour} {shape}", 0), ("a {size_2} {colour_2} {shape_2}", 1), ("{relation}", -1))
EXCHANGED = "a {size} {colour_2} {shape} {relation} a {size_2} {colour} {shape_2}"
WRONG = "a {size} {colour_2} {shape} {relation} a {size_2} {colour_2} {shape_2}"
WRONG_PARTS = (("a {size} {colour_2} {shape}", 0), *PARTS[1:])
EXCHANGED_PARTS = (("a {size} {colour_2} {shape}", 0), ("a {size_2} {colour} {shape_2}", 1), ("{relation}", -1))


def get_config(arg: str = ""):
    """`arg`: "" trains on scenes of one thing, "both" on those of two too; "full": CLIP ViT-L/14, as the paper."""
    if arg == "full":
        return _full()
    if arg not in ("", "both"):
        raise ValueError(f"unknown argument {arg!r}: none, 'both' or 'full'")
    config = c.default()
    config.duration = "500 steps"
    config.batch_size = 128
    config.embed_dim = 64
    config.data.image_size = 32
    config.data.threads = 1
    one, two = (f"synthetic:train,things={things},side=32,count=4096" for things in (1, 2))
    config.data.mixture.one = c.part(one, captions=(("a {size} {colour} {shape}", 1.0),))
    if arg:
        config.data.mixture.two = c.part(two, captions=(("{caption}", 1.0),))
    config.towers.image = c.tower("mlp", image_size=32, shrink=1, width=256, depth=2)
    config.towers.text = c.tower(
        "text", vocab_size=2048, context=16, width=64, depth=1, heads=4, pool="mean", causal=False, mask_padding=True
    )
    config.objectives.contrastive = c.objective("softmax")
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup = "30 steps"
    composed = {"source": TEST, "captions": "{caption}", "parts": PARTS}
    tests = {"wrong": (WRONG, WRONG_PARTS), "colours": (EXCHANGED, EXCHANGED_PARTS), "relation": ("{swapped}", PARTS)}
    for name, (foil, parts) in tests.items():
        config.evaluations[name] = c.evaluation("part_composition", foils=(foil,), foil_parts=(parts,), **composed)
    return config


def _full():
    """The paper trains nothing: CLIP ViT-L/14 as released, evaluated on pairs with boxes of a detector."""
    config = c.default()
    config.duration = "12.8B examples"
    config.batch_size = 32_768
    config.embed_dim = 768
    config.data.source = "data/{00000..09999}.tar"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.towers.image = c.tower("vit", "clip-L/14", image_size=224, act="quick_gelu", **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-L/14", act="quick_gelu", **recipes.LEAN)
    config.objectives.contrastive = c.objective("softmax")
    config.optimizer.learning_rate = 4e-4
    config.schedule.warmup = "2000 steps"
    return config


def get_sweep():
    """A model of single things and one of pairs; composed and plain scores are of the same model."""
    tests, names = ("wrong", "colours", "relation"), ("accuracy", "base_accuracy")
    return c.sweep(
        {"comclip": {}, "both": {"arg": "both"}},
        seeds=(0, 1, 2),
        metrics=tuple(f"val/{test}/{name}" for test in tests for name in names),
    )
