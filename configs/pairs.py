"""Two small towers on your own pairs: pictures, sounds, clips, series or vectors, and what belongs to them.

Command: mmjax train --config=configs/pairs.py:captions={title},val=val.csv --config.data.source=train.csv
             --workdir=runs/pairs

README.md has such a line for each format. Cost and result: whatever your data and devices make of it; the towers of
pictures and texts have 22 M parameters each, beside the token embeddings. Every key can be changed on the command line.
"""

import re

from mmjax import config as c

SETTINGS = {"streams": "image+text", "captions": "{txt}", "val": ""}
SIDE, CONTEXT, FRAMES, STEPS = 224, 64, 8, 256
SAMPLE_RATE, SECONDS = 16000, 10.0
SOUND = {"sample_rate": SAMPLE_RATE, "frames": round(100 * SECONDS)}
TOWERS = {
    "image": c.tower("vit", "S/16", image_size=SIDE, pool="mean", scan=True),
    "text": c.tower("text", "S", context=CONTEXT, pool="mean", mask_padding=True, scan=True),
    "audio": c.tower("audio_conv", "whisper-tiny", **SOUND, scan=True),
    "video": c.tower("video", "S/16", image_size=SIDE, frames=FRAMES, temporal_depth=2, pool="mean", scan=True),
    "series": c.tower("series", "S", length=STEPS, pool="mean", scan=True),
    "vector": c.tower("embedding", width=384),
}


def get_config(arg: str = ""):
    """`arg`: any of these as NAME=VALUE, joined by commas.

    streams: the two that belong together, of TOWERS; captions: their template over a sample's text fields; val: a
    source on which retrieval is measured every epoch (none: nothing is measured).
    """
    settings = _parse(arg)
    streams = tuple(settings["streams"].split("+"))
    config = c.default()
    config.duration = "30 epochs"
    config.batch_size = 1024
    config.embed_dim = 384
    config.data.source = "data/{00000..00009}.tar"
    config.data.captions = ((settings["captions"], 1.0),)
    config.data.image_size = SIDE
    config.data.context = CONTEXT
    config.data.audio.update({"sample_rate": SAMPLE_RATE, "seconds": SECONDS})
    config.data.video.frames = FRAMES
    config.data.series.steps = STEPS
    config.data.threads = 8
    config.data.augment.crop = c.augment("crop", scale=(0.9, 1.0))
    _use(config, streams)
    config.optimizer.learning_rate = 5e-4
    config.schedule.warmup = "2%"
    config.checkpoint.every = "1 epoch"
    if source := settings["val"]:
        config.evaluations.val = c.evaluation(
            "retrieval", source=source, captions=settings["captions"], streams=streams, every="1 epoch"
        )
    return config


def _use(config, streams):
    del config.streams.image, config.streams.text
    for stream in streams:
        if stream not in TOWERS:
            raise ValueError(f"no stream {stream!r}: give two of {', '.join(TOWERS)}, such as audio+text")
        config.streams[stream] = stream
        config.towers[stream] = TOWERS[stream]
    config.objectives.contrastive = c.objective("softmax", streams=streams)


def _parse(arg: str) -> dict[str, str]:
    """The settings in `arg`; their values may hold commas."""
    start, *found = re.split(rf"(?:^|,)({'|'.join(SETTINGS)})=", arg)
    if start:
        raise ValueError(f"{start!r} is no setting: write {', '.join(f'{name}=...' for name in SETTINGS)}")
    return SETTINGS | dict(zip(found[::2], found[1::2], strict=True))
