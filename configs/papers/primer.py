"""Primer: A Primer on Contrastive Pretraining in Language Processing: Methods, Lessons Learned and Perspectives
(Rethmeier & Augenstein 2021, arXiv 2102.12982).

Does:     Input-label contrast, one of the two kinds that the survey tells apart: a text against the embedded names of
          the batch's labels, L = mean_i -log [exp(s x_i.y_c(i)) / sum over labels c of exp(s x_i.y_c)]. Labels that
          were never seen can be named too. With all labels in the batch it is a classifier's cross-entropy.
Files:    mmjax/losses/input_label.py, mmjax/objectives/identities.py
Differs:  from the paper, a survey that fixes no recipe: negatives are the labels of the batch's other inputs, each
          once; sizes in "full" are this project's. From its released code: there is none.
Command:  mmjax sweep --config=configs/papers/primer.py --workdir=runs/papers/primer
Cost:     1 minute on 2 cores (2 cells x 3 seeds, 300 steps).
Claim:    Of 68 names of emoji groups, a text (label and tags of a concept that was never trained) finds its own far
          above chance, and more often than where each row is every other's negative, one's own label among them.
Result:   accuracy 49.8 +- 0.9 % with each label once, 47.6 +- 2.1 with rows as negatives (chance 1.5); the mean over
          groups 51.0 +- 2.7 and 50.9 +- 0.6.
Verdict:  holds, by 0.9 to 4.1 points in each of three seeds. Rows as negatives are a prior of the labels' frequencies
          on the logits (tests/papers/test_primer.py); the mean over groups shows no difference.
"""

from mmjax import config as c
from mmjax.experiments import recipes

ARMS = ("labels", "instances")


def get_config(arg: str = "labels"):
    """`arg`: labels, or instances (every row is the other rows' negative) on the emoji; full for a text corpus."""
    if arg == "full":
        return _full()
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    config = c.default()
    config.duration = "300 steps"
    config.batch_size = 128
    config.embed_dim = 64
    config.data.label = "subgroup"
    _streams(config, input="{label}, {tags}", label="{subgroup}", context=24)
    config.towers.text = c.tower("text", vocab_size=2048, context=24, width=64, depth=0, heads=2, pool="mean")
    kind = "input_label" if arg == "labels" else "softmax"
    options = {"direction": "x_to_y"} if arg == "instances" else {}
    config.objectives.labels = c.objective(kind, streams=("text", "text_2"), **options)
    config.optimizer.learning_rate = 2e-3
    config.schedule.warmup = "40 steps"
    config.evaluations.subgroup = c.evaluation(
        "zero_shot",
        source="emoji:unseen",
        label="subgroup",
        templates=("{c}",),
        streams=("text", "text_2"),
        every="100%",
    )
    return config


def _streams(config, *, input, label, context):
    """Two texts of a sample by one tower: what is classified, and the name of its class."""
    config.data.context = context
    del config.streams.image
    config.streams.text_2 = "text"
    config.data.streams.text = c.stream("text", captions=((input, 1.0),))
    config.data.streams.text_2 = c.stream("text", captions=((label, 1.0),))


def _full():
    """A text encoder of BERT's size on texts and the names of their labels, batch 512."""
    config = c.default()
    config.duration = "10 epochs"
    config.batch_size = 512
    config.embed_dim = 512
    config.data.source = "data/texts/{00000..00099}.tar"
    config.data.label = "label"
    config.data.tokenizer = "tokenizer.json"
    _streams(config, input="{text}", label="{label}", context=128)
    config.towers.text = c.tower("text", "B", vocab_size=32_000, context=128, pool="mean", **recipes.LEAN)
    config.objectives.labels = c.objective("input_label", streams=("text", "text_2"))
    config.optimizer.learning_rate = 1e-4
    return config


def get_sweep():
    """Every label of the batch once, against every row for itself."""
    return c.sweep(
        {arm: {"arg": arm} for arm in ARMS},
        baseline="instances",
        metrics=("val/subgroup/acc1", "val/subgroup/mean_per_class_recall"),
    )
