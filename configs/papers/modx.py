"""Mod-X: Continual learning with off-diagonal information (Ni et al. 2023, arXiv 2305.07437).

Does:     while training goes on with new data, each row of the contrastive matrix follows the older model's: InfoNCE +
          alpha mean_i KL(p_i || q_i), p and q the new and the old model's softmax over the batch; rows in which the old
          model does not find the partner are left out.
Files:    mmjax/losses/off_diagonal.py, mmjax/objectives/continual.py, mmjax/teachers.py
Differs:  from the paper: both matrices have a fixed temperature of 0.07 here, anchors are in the first stream, alpha is
          5 (20 in the paper, from memory, as are the sizes and steps of the full recipe); there is no released code.
Command:  mmjax sweep --config=configs/papers/modx.py --workdir=runs/papers/modx
Cost:     1.5 minutes on 2 cores (3 arms x 3 seeds of 9 s).
Claim:    going on with a shifted domain, the term keeps R@1 on the old domain and costs little on the new one (arms
          all_rows and old_new are there, but not run). Exact, in the tests: 0 where new is old, and no gradient in rows
          where the old model errs.
Result:   R@1 old / new domain: after the first phase 98.8 +- 0.1 / 71.8 +- 2.0, plain 94.9 +- 0.3 / 89.3 +- 1.0, modx
          98.9 +- 0.3 / 79.3 +- 1.4.
Verdict:  partly holds: what is remembered (4 points) is paid for with what is not learned (10 points); no free gain.
"""

from mmjax import config as c
from mmjax.experiments import recipes

STREAMS = ("vector", "vector_2")
# The older domain, and the newer one: latents moved a long way.
DOMAINS = {"old": 0, "new": 4}
ARMS = {
    "plain": None,
    "modx": {"weight": 5.0},
    "all_rows": {"weight": 5.0, "selective": False},
    "old_new": {"weight": 5.0, "selective": False, "divergence": "old_new"},
}


def get_config(arg: str = ""):
    """`arg`: old, the first phase; plain, modx, all_rows or old_new, the second, which goes on from the first with
    config.init_from; full: the paper's recipe."""
    arg = arg or "old"
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
    """CLIP's ViT-B/32 going on from the run that config.init_from names: 35 epochs of each new part of the data."""
    config = c.default()
    config.duration = "35 epochs"
    config.batch_size = 2240
    config.embed_dim = 512
    config.data.source = "data/flickr30k/{00000..00031}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 224
    config.data.context = 77
    config.data.threads = 16
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-B/32", **recipes.LEAN)
    config.objectives.contrast = c.objective("softmax")
    _remember(config, ("image", "text"), weight=20.0)
    config.optimizer.learning_rate = 1e-6
    config.optimizer.weight_decay = 0.2
    config.schedule.warmup = "20%"
    return config


def get_sweep():
    """The first phase, then each way of going on from it."""
    old = {"old": {"arg": "old"}}
    later = {arm: {"arg": arm, "init_from": "{workdir}/old/seed_{seed}"} for arm in ("plain", "modx")}
    a, b = STREAMS
    metrics = tuple(f"val/{domain}/{a}_to_{b}_R@1" for domain in DOMAINS)
    return c.sweep(old | later, baseline="plain", metrics=metrics)
