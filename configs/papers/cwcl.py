"""CWCL"""

from mmjax import config as c

ARMS = {"clip": None, "cwcl": 1.0, "sharp": 8.0}
STREAMS = ("vector", "vector_2")
SOURCE = "classes=20,shared=16,widths=64/48,spread=1,sigma=0.7,noise=0.3/0.6"


def get_config(arg: str = "cwcl"):
    """`arg`: clip, cwcl or sharp (weights to the 8th power) on made-up vectors; full for speech and text."""
    if arg == "full":
        return _full()
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    config = c.default()
    config.duration = "300 steps"
    config.batch_size = 128
    config.embed_dim = 64
    config.data.source = f"latent:train,count=512,{SOURCE}"
    config.data.label = "cls"
    del config.streams.image, config.streams.text
    for stream in STREAMS:
        config.streams[stream] = stream
    # The frozen tower: vectors in which a class lies together, as they are.
    config.towers.vector = c.tower("vector", projection="none")
    config.towers.vector_2 = c.tower("vector", hidden=64)
    if ARMS[arg] is None:
        config.objectives.contrastive = c.objective("softmax", streams=STREAMS)
    else:
        config.objectives.contrastive = c.objective("weighted", streams=STREAMS, sharpness=ARMS[arg])
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.01
    test = f"latent:test,count=512,{SOURCE}"
    config.evaluations.classes = c.evaluation("label_retrieval", source=test, streams=STREAMS)
    config.evaluations.instances = c.evaluation("cross_retrieval", source=test, streams=STREAMS, every="100%")
    return config


def _full():
    """Speech to text: a Whisper encoder is trained to a frozen text tower that comes with `init_from`."""
    config = c.default()
    config.duration = "30 epochs"
    config.batch_size = 256
    config.embed_dim = 768
    config.data.source = "data/common-voice-train/{00000..00199}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.audio.update({"sample_rate": 16_000, "seconds": 15.0})
    config.data.context = 77
    del config.streams.image
    config.streams.audio = "audio"
    config.towers.text = c.tower("text", "B", vocab_size=32_000, context=77, pool="mean", scan=True, remat="full")
    config.towers.audio = c.tower(
        "audio_conv", "whisper-small", sample_rate=16_000, frames=1500, scan=True, remat="full"
    )
    config.objectives.contrastive = c.objective("weighted", streams=("text", "audio"))
    config.optimizer.rules = (("model/text(_projection)?/", 0.0, 0.0),)
    config.optimizer.learning_rate = 5e-5
    return config


def get_sweep():
    """CLIP's targets, the paper's graded ones, and sharpened ones."""
    return c.sweep(
        {arm: {"arg": arm} for arm in ARMS},
        baseline="clip",
        metrics=("val/classes/vector_2_to_vector_mAP@10", "val/instances/vector_2_to_vector_R@1"),
    )
