"""Parts that the configs of several papers share: small worlds for their claims, and training at full scale.

Each fills in a config that was just made; what a paper changes comes after it in the paper's own file.
"""

from mmjax import config as c

# What a tower of the published size needs to fit a device: one scanned block, its inputs alone kept for backward.
LEAN = {"scan": True, "remat": "full"}


def emoji(config) -> None:
    """Pictures of emoji, 16 x 16 pixels, to a perceptron; labels and tags to the mean of their word pieces."""
    config.duration = "300 steps"
    config.batch_size = 64
    config.embed_dim = 64
    config.data.image_size = 16
    config.data.captions = (("{label}", 0.6), ("{label}, {tags}", 0.4))
    config.data.augment.affine = c.augment("affine", scale=(0.75, 1.2), aspect=0.1, shift=0.09, rotate=10.0)
    config.towers.image = c.tower("mlp", image_size=16, shrink=1, width=256, depth=2)
    config.towers.text = c.tower("text", vocab_size=2048, context=16, width=64, depth=0, heads=2, pool="mean")
    config.optimizer.learning_rate = 2e-3
    config.schedule.warmup = "40 steps"


def scenes(config, settings: str, *, patches: int, context: int) -> None:
    """Made-up scenes as series of noisy patches, and captions of some of their things; a linear map of every token.

    Args:
        config: what is filled in.
        settings: of the source `objects:`, such as "words=40,patches=6,named=3,noise=1".
        patches: steps of the series, as in `settings`.
        context: tokens of a caption, its end among them.
    """
    config.duration = "300 steps"
    config.batch_size = 128
    config.embed_dim = 32
    config.data.source = f"objects:train,{settings}"
    config.data.captions = (("{caption}", 1.0),)
    config.data.context = context
    config.data.series.update({"steps": patches, "channels": 32})
    config.streams.series = "series"
    del config.streams.image
    flat = {"width": 32, "depth": 0, "heads": 1, "pool": "mean"}
    config.towers.series = c.tower("series", length=patches, patch_size=1, stride=1, **flat)
    config.towers.text = c.tower("text", vocab_size=2048, context=context, mask_padding=True, **flat)
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.01
    config.schedule.warmup = "20 steps"


def scenes_to_find(settings: str, captions: str = "{caption}") -> dict:
    """Options of an evaluation at the end on 500 scenes that training never sees."""
    return {"source": f"objects:test,count=500,{settings}", "captions": captions, "every": "100%"}


def views_of_vectors(config, settings: str) -> None:
    """Two views of a latent vector (source `latent:`), a hidden layer each, and the contrast of both."""
    config.duration = "300 steps"
    config.batch_size = 256
    config.embed_dim = 32
    config.data.source = f"latent:train,{settings},count=4096"
    del config.streams.image, config.streams.text
    streams = ("vector", "vector_2")
    for stream in streams:
        config.streams[stream] = stream
        config.towers[stream] = c.tower("vector", hidden=64)
    config.objectives.contrastive = c.objective("softmax", streams=streams)
    config.optimizer.learning_rate = 3e-3
    config.schedule.warmup = "20 steps"


def token_heads(config, *streams: str) -> None:
    """A head `<stream>_tokens` for each: every token of a stream in the shared space."""
    for stream in streams:
        config.heads[f"{stream}_tokens"] = c.head("tokens", stream=stream)


def clip(config, size: str) -> None:
    """CLIP as Radford et al. 2021 trained it (arXiv 2103.00020, tables 18 to 20): 400 million pairs, 32 epochs."""
    config.duration = "12.8B examples"
    config.batch_size = 32_768
    config.embed_dim = {"B/32": 512, "L/14": 768}[size]
    config.data.source = "data/{00000..39999}.tar"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.data.threads = 16
    config.towers.image = c.tower("vit", f"clip-{size}", image_size=224, act="quick_gelu", **LEAN)
    config.towers.text = c.tower("text", f"clip-{size}", act="quick_gelu", **LEAN)
    config.objectives.contrastive = c.objective("softmax", temperature=0.07, max_scale=100.0)
    config.optimizer.learning_rate = {"B/32": 5e-4, "L/14": 4e-4}[size]
    config.optimizer.b2 = 0.98
    config.optimizer.weight_decay = 0.2
    config.schedule.warmup = "2000 steps"


def msr_vtt(config, *, batch_size: int, learning_rate: float, tower_rate: float) -> None:
    """Videos of 12 frames and captions (MSR-VTT, 9,000 for training), from the weights of CLIP B/32 (`init_from`).

    Args:
        config: what is filled in.
        batch_size: examples of a step.
        learning_rate: peak for what is new.
        tower_rate: the towers' learning rate as a share of it.
    """
    config.duration = "5 epochs"
    config.batch_size = batch_size
    config.embed_dim = 512
    config.data.source = "data/msrvtt-9k/{0000..0089}.tar"
    config.data.tokenizer = "clip"
    config.data.context = 32
    config.data.image_size = 224
    config.data.video.update({"frames": 12, "sampling": "uniform"})
    del config.streams.image
    config.streams.video = "video"
    config.towers.video = c.tower("video", "clip-B/32", image_size=224, frames=12, act="quick_gelu", **LEAN)
    config.towers.text = c.tower("text", "clip-B/32", context=32, act="quick_gelu", **LEAN)
    token_heads(config, "video", "text")
    config.optimizer.rules = (("model/(video|text)(_projection)?/", tower_rate, 1.0),)
    config.optimizer.learning_rate = learning_rate
    config.optimizer.weight_decay = 0.2
    config.schedule.warmup = "10%"
