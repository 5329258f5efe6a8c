"""TODO"""

from mmjax import config as c

STREAMS = ("vector", "vector_2")
# The older domain, and the newer one: latents moved a long way.
DOMAINS = {"old": 0, "new": 4}
ARMS = {
    "plain": None,
    "modx": {"weight": 5.0},
    "all_rows": {"weight": 5.0, "selective": False},
    "old_new": {"weight": 5.0, "selective": False, "divergence": "old_new"},
}


def get_config(arg: str = "old"):
    """`arg`: old, the first phase; plain, modx, all_rows or old_new, the second, which goes on from the first with
    config.init_from; full: the paper's recipe."""
    if arg == "full":
        return _full()
    if arg != "old" and arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, old, or one of {', '.join(ARMS)}")
    config = c.default()
    config.duration = "400 steps"
    config.batch_size = 128
    config.embed_dim = 32
    config.data.source = _source("train", "old" if arg == "old" else "new")
    del config.streams.image, config.streams.text
    for stream in STREAMS:
        config.streams[stream] = stream
        config.towers[stream] = c.tower("vector", hidden=128)
    config.objectives.contrast = c.objective("softmax", streams=STREAMS)
    if ARMS.get(arg):
        _remember(config, STREAMS, **ARMS[arg])
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.0
    for name in DOMAINS:
        source = _source("test", name) + ",count=1000"
        config.evaluations[name] = c.evaluation(
            "cross_retrieval", source=source, streams=STREAMS, compose="", every="100%"
        )
    return config


def _source(split: str, domain: str) -> str:
    return f"latent:{split},shared=16,widths=64/48,noise=0.3,shift={DOMAINS[domain]}"


def _remember(config, streams, **options):
    """The model as it was, and its matching of the batch as a target."""
    config.teachers.frozen = c.teacher("frozen")
    config.objectives.memory = c.objective("off_diagonal", streams=streams, **options)


def _full():
    """CLIP's ViT-B/32 going on from an earlier run: batch 280 on each of 8 devices, 35 epochs of each part of ECommerce-T2I
    or COCO and Flickr30K; give config.init_from the run before."""
    config = c.default()
    config.duration = "35 epochs"
    config.batch_size = 2240
    config.embed_dim = 512
    config.data.source = "data/flickr30k/{00000..00031}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 224
    config.data.context = 77
    config.data.threads = 16
    lean = {"scan": True, "remat": "full"}
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, **lean)
    config.towers.text = c.tower("text", "clip-B/32", **lean)
    config.objectives.contrast = c.objective("softmax")
    _remember(config, ("image", "text"), weight=20.0)
    config.optimizer.learning_rate = 1e-6
    config.optimizer.weight_decay = 0.2
    config.schedule.warmup = "20%"
    return config


def get_sweep():
    """The first phase, then each way of going on from it."""
    old = {"old": {"arg": "old"}}
    later = {arm: {"arg": arm, "init_from": "{workdir}/old/seed_{seed}"} for arm in ARMS}
    a, b = STREAMS
    metrics = tuple(f"val/{domain}/{a}_to_{b}_R@1" for domain in DOMAINS)
    return c.sweep(old | later, baseline="plain", metrics=metrics)
