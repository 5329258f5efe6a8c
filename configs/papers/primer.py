"""PR"""

from mmjax import config as c

# Groups of which no sample is trained: their names are labels that the model has never seen.
NEW = ("animals-nature", "food-drink")
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
    config.towers.text = c.tower("text", "B", vocab_size=32_000, context=128, pool="mean", scan=True, remat="full")
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
