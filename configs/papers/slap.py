"""SLAP: Siamese language-audio pretraining without negatives (Guinot et al. 2025, arXiv 2506.17815).

Does:     BYOL across modalities: a predictor on each stream is drawn to the moving average's embedding of the other
          stream (weight lambda) and of its own (1 - lambda): L = lambda 1/2 [d(q_a, z_t) + d(q_t, z_a)] + (1 - lambda)
          1/2 [d(q_a, z_a) + d(q_t, z_t)], d = 2 - 2 cos. Retrieval is between predictions.
Files:    mmjax/losses/siamese.py, mmjax/objectives/views.py, mmjax/heads/mlp.py, mmjax/teachers.py
Differs:  from the paper: predictors have a layer norm and no dropout; targets are of unit norm. From its released code:
          that exchanges the terms between and within modalities, which at lambda = 1/2 changes nothing. The full
          recipe's batch, widths and schedule are from memory.
Command:  mmjax sweep --config=configs/papers/slap.py --workdir=runs/papers/slap
Cost:     2 minutes on 2 cores (6 arms x 3 seeds of 7 s).
Claim:    both kinds of terms are needed: with lambda = 1/2 predictions retrieve at batch 16 and at 128, with 1 or 0 at
          chance (0.1 %); projections do not retrieve; the gap of predictions is below that of CLIP.
Result:   R@1 from vector to vector_2, predictions: slap 96.4 +- 1.1, across 0.0 +- 0.1, within 0.1 +- 0.2, slap_128
          98.9 +- 0.4; projections: slap 1.5 +- 0.7, slap_128 3.0 +- 0.9, clip 98.8 +- 0.2, clip_128 99.9 +- 0.1.
          Distance of the centroids: predictions of slap 0.074 +- 0.009 and at 128 0.045 +- 0.009, clip 0.065 +- 0.010
          and 0.029 +- 0.003.
Verdict:  partly holds: both terms are needed, batch 16 does nearly as well as 128, and only predictions retrieve; the
          gap is no smaller than CLIP's on this data.
"""

from mmjax import config as c
from mmjax.experiments import recipes

AUDIO, TEXT = "vector", "vector_2"
# Weight of the terms between the modalities; the rest is that of the terms within each.
ARMS = {"slap": 0.5, "across": 1.0, "within": 0.0}


def get_config(arg: str = ""):
    """`arg`: slap, across or within (one kind of term alone), clip; full: the paper's batch and sizes."""
    arg = arg or "slap"
    if arg == "full":
        return _full()
    if arg not in (*ARMS, "clip"):
        raise ValueError(f"unknown argument {arg!r}: full, clip, or one of {', '.join(ARMS)}")
    config = c.default()
    config.duration = "400 steps"
    config.batch_size = 16
    config.embed_dim = 64
    config.data.source = "latent:train,shared=16,widths=64/48,noise=0.2"
    del config.streams.image, config.streams.text
    for stream in (AUDIO, TEXT):
        config.streams[stream] = stream
        config.towers[stream] = c.tower("vector", hidden=128)
    if arg == "clip":
        config.objectives.contrast = c.objective("softmax", streams=(AUDIO, TEXT))
    else:
        _predict(config, (AUDIO, TEXT), hidden=256, across=ARMS[arg])
        _compare(config, "predictions", tuple(map(_predicted, (AUDIO, TEXT))))
    _compare(config, "projections", (AUDIO, TEXT))
    config.optimizer.weight_decay = 0.0
    config.schedule.name = "constant"
    config.schedule.warmup = "0 steps"
    return config


def _predict(config, streams, *, hidden: int, across: float, decay: float = 0.995):
    """Each stream's predictor, the moving average, and what is predicted of it."""
    config.teachers.ema = c.teacher("ema", decay=decay)
    for stream in streams:
        config.heads[_predicted(stream)] = c.head("mlp", stream=stream, hidden=hidden)
    (a, b), targets = map(_predicted, streams), tuple(f"ema/{stream}" for stream in streams)
    config.objectives.across = c.objective("prediction", pairs=((a, targets[1]), (b, targets[0])), weight=across)
    config.objectives.within = c.objective("prediction", pairs=((a, targets[0]), (b, targets[1])), weight=1 - across)


def _predicted(stream: str) -> str:
    return f"{stream}_prediction"


def _compare(config, name: str, streams):
    """Retrieval and the gap between two kinds of features."""
    asked = {"source": "latent:test,shared=16,widths=64/48,noise=0.2,count=1000", "streams": streams, "every": "100%"}
    config.evaluations[name] = c.evaluation("cross_retrieval", **asked, compose="")
    config.evaluations[f"{name}_gap"] = c.evaluation("gap", **asked)


def _full():
    """Spectrogram transformer and a base text tower, batch 768, predictors of 4,096 units."""
    config = c.default()
    config.duration = "100 epochs"
    config.batch_size = 768
    config.embed_dim = 512
    config.data.source = "data/{00000..00999}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.context = 77
    config.data.threads = 16
    config.data.audio.update({"sample_rate": 16000, "seconds": 10.0})
    config.streams.audio = "audio"
    del config.streams.image
    config.towers.audio = c.tower("ast", "B", sample_rate=16000, frames=1000, **recipes.LEAN)
    config.towers.text = c.tower(
        "text", "B", context=77, vocab_size=50265, mask_padding=True, pool="mean", **recipes.LEAN
    )
    _predict(config, ("audio", "text"), hidden=4096, across=0.5)
    config.optimizer.learning_rate = 1e-4
    config.schedule.warmup = "5%"
    return config


def get_sweep():
    """Both kinds of terms, either alone, and CLIP, at batch 16; SLAP and CLIP at 128."""
    cells = {arm: {"arg": arm} for arm in (*ARMS, "clip")}
    cells |= {f"{arm}_128": {"arg": arm, "batch_size": 128} for arm in ("slap", "clip")}
    names = tuple(map(_predicted, (AUDIO, TEXT)))
    metrics = tuple(f"val/predictions/{a}_to_{b}_R@1" for a, b in (names, names[::-1]))
    metrics += (f"val/projections/{AUDIO}_to_{TEXT}_R@1", "val/predictions_gap/modality_gap")
    return c.sweep(cells, baseline="clip", metrics=(*metrics, "val/projections_gap/modality_gap"))
