"""TODO"""

from mmjax import config as c

AUDIO, TEXT = "vector", "vector_2"
# Weight of the terms between the modalities; the rest is that of the terms within each.
ARMS = {"slap": 0.5, "across": 1.0, "within": 0.0}


def get_config(arg: str = "slap"):
    """`arg`: slap, across or within (one kind of term alone), clip; full: the paper's batch and sizes."""
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
    lean = {"scan": True, "remat": "full"}
    config.towers.audio = c.tower("ast", "B", sample_rate=16000, frames=1000, **lean)
    config.towers.text = c.tower("text", "B", context=77, vocab_size=50265, mask_padding=True, pool="mean", **lean)
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
