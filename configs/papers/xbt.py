"""XBT: Cross-modal backward-compatible representations (Jang & Lim 2024, arXiv 2405.14715).

Does:     a bridge phi from the new model's space of texts to the old model's, trained on texts alone: 1 -
          cos(phi(new(t) + noise), old(t)) + 0.2 InfoNCE of both; then queries of the new model find what the old one
          has embedded, without embedding the gallery again.
Files:    mmjax/heads/noise.py, mmjax/heads/mlp.py, mmjax/teachers.py, mmjax/objectives/views.py
Differs:  from the paper: the second stage (tuning the new model's prompts with the bridge fixed) is not built, and
          pictures of the new model do not go through the bridge; there is no released code. The full recipe's sizes are
          from memory, and it needs the old model's workdir: full,old=DIR.
Command:  mmjax sweep --config=configs/papers/xbt.py --workdir=runs/papers/xbt
Cost:     2 minutes on 2 cores (4 arms x 3 seeds of 9 s).
Claim:    in order: chance (0.1 %) far below old text to old picture, below new text through the bridge to old picture,
          below new to new.
Result:   text to picture R@1: old to old 24.0 +- 0.9, bridge to old 33.5 +- 0.8 with noise of 0.1 and 31.2 +- 0.5
          without, new to new 92.6 +- 0.9.
Verdict:  holds: texts alone suffice, and noise helps by two points.
"""

from mmjax import config as c
from mmjax.experiments import recipes

IMAGE, TEXT = "vector", "vector_2"
DATA = "shared=24,widths=64/48,noise=0.35"
# Models that were trained on pairs: hidden units, width of the space, steps.
MODELS = {"old": (48, 16, 160), "new": (128, 32, 800)}
# Noise on the new embeddings while the bridge is trained.
BRIDGES = {"bridge": 0.1, "no_noise": 0.0}


def get_config(arg: str = ""):
    """`arg`: old or new, a model of pairs; bridge, no_noise or full, then ",old=WORKDIR" of the old model.

    A bridge is trained on texts alone, and goes on from the new model, which config.init_from names.
    """
    kind, _, old = (arg or "old").partition(",old=")
    if kind == "full":
        return _full(old)
    if kind in MODELS:
        return _model(*MODELS[kind])
    if kind not in BRIDGES:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join((*MODELS, *BRIDGES))}")
    config = _start(*MODELS["new"][:2])
    config.duration = "600 steps"
    _bridge(config, TEXT, old, sigma=BRIDGES[kind], hidden=128, width=MODELS["old"][1])
    _compare(config, "new_to_old", ("bridge", f"old/{IMAGE}"))
    _compare(config, "new_to_new", (TEXT, IMAGE))
    _compare(config, "old_to_old", (f"old/{TEXT}", f"old/{IMAGE}"))
    return config


def _start(hidden: int, width: int):
    config = c.default()
    config.batch_size = 128
    config.embed_dim = width
    config.data.source = f"latent:train,{DATA},count=4000"
    del config.streams.image, config.streams.text
    for stream in (IMAGE, TEXT):
        config.streams[stream] = stream
        config.towers[stream] = c.tower("vector", hidden=hidden)
    config.optimizer.weight_decay = 0.0
    config.schedule.warmup = "20 steps"
    return config


def _model(hidden: int, width: int, steps: int):
    config = _start(hidden, width)
    config.duration = f"{steps} steps"
    config.objectives.contrast = c.objective("softmax", streams=(IMAGE, TEXT))
    _compare(config, "pairs", (TEXT, IMAGE))
    return config


def _bridge(config, text: str, old: str, *, sigma: float, hidden: int, width: int):
    """The bridge from the new space of texts to the old one, on noisy embeddings; all else is frozen."""
    config.teachers.old = c.teacher("run", workdir=old or "runs/old")
    config.heads.noisy = c.head("noise", stream=text, sigma=sigma)
    config.heads.bridge = c.head("mlp", stream="noisy", hidden=hidden, depth=1, width=width)
    pair = ("bridge", f"old/{text}")
    # Half of 2 - 2 cos.
    config.objectives.distance = c.objective("prediction", pairs=(pair,), weight=0.5)
    config.objectives.contrast = c.objective("softmax", streams=pair, weight=0.2)
    config.optimizer.rules = (("bridge_head|logit_", 1.0, 1.0), (".*", 0.0, 0.0))


def _compare(config, name: str, streams):
    config.evaluations[name] = c.evaluation(
        "cross_retrieval", source=f"latent:test,{DATA},count=1000", streams=streams, compose="", every="100%"
    )


def _full(old: str):
    """From CLIP's ViT-B/32, whose workdir is given, to its ViT-L/14, which config.init_from names; texts alone."""
    config = c.default()
    config.duration = "10 epochs"
    config.batch_size = 8192
    config.embed_dim = 768
    config.data.source = "data/{00000..00999}.tar"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.data.threads = 16
    del config.streams.image
    config.towers.text = c.tower("text", "clip-L/14", act="quick_gelu", **recipes.LEAN)
    _bridge(config, "text", old, sigma=0.1, hidden=2048, width=512)
    config.optimizer.learning_rate = 1e-4
    return config


def get_sweep():
    """The two models, then the bridge with and without noise."""
    cells = {name: {"arg": name} for name in MODELS}
    for kind in BRIDGES:
        new = {"init_from": "{workdir}/new/seed_{seed}"}
        cells[kind] = {"arg": kind + ",old={workdir}/old/seed_{seed}", **new}
    metrics = (f"val/new_to_old/bridge_to_old/{IMAGE}_R@1", f"val/old_to_old/old/{TEXT}_to_old/{IMAGE}_R@1")
    return c.sweep(cells, baseline="", metrics=(*metrics, f"val/new_to_new/{TEXT}_to_{IMAGE}_R@1"))
