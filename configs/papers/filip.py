"""FILIP: Fine-grained Interactive Language-Image Pre-Training (Yao et al. 2022, arXiv 2111.07783)."""

from mmjax import config as c

SCENES = "words=40,patches=6,named=3,noise=1"


def get_config(arg: str = ""):
    """`arg`: "" for FILIP, "pooled" for the mean of all tokens, "full" for the paper's own recipe."""
    if arg == "full":
        return _full()
    config = c.default()
    config.duration = "800 steps"
    config.batch_size = 128
    config.embed_dim = 32
    _scenes(config)
    if arg == "pooled":
        config.objectives.pooled = c.objective("softmax", streams=("series", "text"))
        config.evaluations.test = c.evaluation("retrieval", streams=("series", "text"), **_test())
    elif arg == "":
        _tokens(config, "series")
        config.objectives.filip = c.objective("filip", streams=("series_tokens", "text_tokens"))
        config.evaluations.test = c.evaluation("token_retrieval", objective="filip", **_test())
    else:
        raise ValueError(f"unknown argument {arg!r}: none, 'pooled' or 'full'")
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.01
    config.schedule.warmup = "40 steps"
    return config


def _scenes(config):
    """Six noisy patches of six things; a caption names three of them."""
    config.data.source = f"objects:train,{SCENES}"
    config.data.captions = (("{caption}", 1.0),)
    config.data.context = 4
    config.data.series.steps = 6
    config.data.series.channels = 32
    config.streams.series = "series"
    del config.streams.image
    flat = {"width": 32, "depth": 0, "heads": 1, "pool": "mean"}
    config.towers.series = c.tower("series", length=6, patch_size=1, stride=1, **flat)
    config.towers.text = c.tower("text", vocab_size=2048, context=4, mask_padding=True, **flat)


def _tokens(config, stream):
    for name in (stream, "text"):
        config.heads[f"{name}_tokens"] = c.head("tokens", stream=name)


def _test():
    return {"source": f"objects:test,count=500,{SCENES}", "captions": "{caption}", "every": "100%"}


def _full():
    raise NotImplementedError
