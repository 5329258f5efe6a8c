"""Every key of an experiment, its default and its meaning."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from mmjax.config.values import lookup


class Key(NamedTuple):
    """One key: its default, its one-line meaning, and the allowed values where they are few."""

    default: Any
    meaning: str
    choices: tuple = ()


KEYS = {
    "seed": Key(0, "root of every random choice: parameters, data order, augmentation, dropout"),
    "duration": Key("1000 steps", "length of training: 'N steps', 'N epochs' or 'N examples'"),
    "batch_size": Key(128, "examples of one step, over all devices and processes"),
    "microbatches": Key(1, "parts in which a step's examples are encoded to save memory; gradients stay exact"),
    "embed_dim": Key(512, "width of the shared embedding space"),
    "activations": Key("auto", "dtype of activations; auto: bfloat16 but for CPUs", ("auto", "float32", "bfloat16")),
    "init_from": Key("", "workdir or checkpoint folder whose weights start this run; what matched is reported"),
    "init_towers": Key((), "((tower there, tower here), ...): towers that take another one's weights from init_from"),
    "on_nonfinite": Key(
        "stop",
        "a step whose loss or gradients are not finite: stop the run, or skip the step and count it",
        ("stop", "skip"),
    ),
    "ema_decay": Key(0.0, "decay of the moving average of parameters that is evaluated; 0: none"),
    "data": {
        "source": Key(
            "emoji:train", "'emoji:SPLIT', 'xor:SETTINGS', or tars: a path, a glob, a brace range, joined by '::'"
        ),
        "where": Key((), "conditions on samples' fields, such as (('similarity', '>=', 0.28),); others are left out"),
        "unique": Key("", "field of which every value is used once; empty: all samples"),
        "uids": Key("", "file of the uids of the samples used: .npy as DataComp writes it, or text; empty: all"),
        "groups": Key(
            "", ".npy of one group number for every sample of the source: a batch is of one group; empty: all"
        ),
        "label": Key("", "field that says which samples are of one class or identity: `label` of a batch; empty: none"),
        "image_keys": Key((), "endings of the members to draw a picture from; none: any jpg, png, webp, bmp or tif"),
        "audio_keys": Key((), "endings of the members to draw a sound from; none: any wav, flac, ogg, opus or mp3"),
        "video_keys": Key((), "endings of the members to draw a clip from; none: any video, gif, animated webp or npy"),
        "series_keys": Key((), "endings of the members to draw a time series from; none: any npy"),
        "image_size": Key(64, "side in pixels of the pictures that reach the model"),
        "resize": Key(
            "crop",
            "crop: shortest side, then centre; squash: ignore the aspect; pad: white borders",
            ("crop", "squash", "pad"),
        ),
        "decoder": Key(
            "pillow",
            "of pictures for training; turbo: crops of JPEGs by libjpeg-turbo and OpenCV (extra: fast), nearly alike",
            ("pillow", "turbo"),
        ),
        "captions": Key((("{txt}", 1.0),), "caption templates over a sample's text fields, each with its weight"),
        "languages": Key(("en",), "one is drawn for each example where a text field is given by language"),
        "tokenizer": Key("emoji", "'emoji', 'emoji-multilingual', or the path of a tokenizer.json"),
        "context": Key(16, "tokens of a caption; longer ones are cut, the last token kept"),
        "audio": {
            "sample_rate": Key(48000, "samples a second of the sounds that reach the model"),
            "seconds": Key(5.0, "length of a clip of sound; shorter sounds are padded and masked"),
            "crop": Key(
                "random",
                "part of a longer sound; random: in evaluation the middle; repeat: the middle, short sounds repeated",
                ("random", "center", "start", "repeat"),
            ),
        },
        "video": {
            "frames": Key(8, "frames of a clip"),
            "sampling": Key(
                "random",
                "training frames: uniform, random (one a segment), slow, fast, clip:STRIDE; in evaluation uniform",
            ),
        },
        "series": {
            "steps": Key(256, "steps of a time series; shorter ones are padded and masked"),
            "channels": Key(1, "values of a time series at each step"),
            "crop": Key(
                "random",
                "part of a longer time series; random: in evaluation the middle",
                ("random", "center", "start"),
            ),
        },
        "threads": Key(4, "reading threads of a process, shared out among its workers"),
        "workers": Key(0, "worker processes; 0: read in the training process"),
        "prefetch": Key(8, "batches that wait ready on the host"),
        "cache": Key(256, "MiB of memory of a process for samples and what is decoded of them, where a source fits"),
        "max_unreadable": Key(0.01, "largest share of unreadable samples before the run stops"),
    },
    "mesh": {
        "data": Key(-1, "devices along which the batch is split and parameters are copied; -1: all the rest"),
        "fsdp": Key(1, "devices along which the batch and the parameters are split; -1: all the rest"),
        "tensor": Key(1, "devices along which heads and hidden units are split; -1: all the rest"),
        "rules": Key((), "((pattern, axes), ...) put before the default partition rules"),
    },
    "optimizer": {
        "name": Key("adamw", "update rule", ("adamw", "lion", "adafactor", "lamb", "muon", "sgd")),
        "learning_rate": Key(1e-3, "peak learning rate"),
        "b1": Key(0.9, "decay of the first moment, or momentum"),
        "b2": Key(0.98, "decay of the second moment"),
        "eps": Key(1e-6, "added to the root of the second moment"),
        "weight_decay": Key(0.2, "decoupled decay, times the learning rate"),
        "no_decay": Key(
            "position_embedding|class_embedding|probe|logit_",
            "parameters whose path matches are not decayed; nor is any with less than two axes",
        ),
        "rules": Key((), "((pattern, learning-rate factor, decay factor), ...); first match; factor 0 freezes"),
        "clip_norm": Key(1.0, "largest global norm of the gradient; 0: no clipping"),
    },
    "schedule": {
        "name": Key("cosine", "course of the learning rate", ("cosine", "rsqrt", "linear", "constant")),
        "warmup": Key("5%", "linear warm-up from 0"),
        "cooldown": Key("0 steps", "linear cool-down to 0 at the end"),
        "end": Key(0.0, "learning rate at the end of cosine and linear, as a share of the peak"),
        "timescale": Key("10%", "time after which rsqrt has fallen to 1/sqrt(2)"),
    },
    "checkpoint": {
        "every": Key("10%", "time between checkpoints; one more at the end and at a stop signal"),
        "keep": Key(2, "newest checkpoints kept"),
        "best": Key("", "metric whose best checkpoint is kept as well, such as 'val/unseen/image_to_text_R@1'"),
        "best_mode": Key("max", "whether more or less of that metric is better", ("max", "min")),
    },
    "log": {
        "every": Key("10 steps", "time between lines of metrics.jsonl"),
        "tensorboard": Key(False, "write tensorboard/ too (extra: tensorboard)"),
        "wandb": Key("", "project of Weights & Biases to log to as well (extra: wandb)"),
    },
    "profile": {
        "start": Key(-1, "step at which a profile begins; -1: never"),
        "steps": Key(5, "steps that the profile covers"),
    },
}


OPEN_SECTIONS = {
    "towers": "one encoder for each name: tower(kind, size, ...)",
    "streams": "batch stream -> tower that encodes it, such as image_2 = 'image'",
    "heads": "further features of a stream, under a name of their own: head(kind, stream='image', ...)",
    "teachers": "models that are not trained, whose features are '<teacher>/<stream>': teacher(kind, ...)",
    "objectives": "weighted parts of the training loss: objective(kind, ...)",
    "evaluations": "what is measured, on what, how often: evaluation(kind, ...)",
    "data.mixture": "sources drawn from by weight instead of data.source: part(source, ...)",
    "data.streams": "streams that may be missing, and what of a sample they take: stream(kind, ...)",
    "data.augment": "augmentations of training pictures and clips: augment(kind, ...)",
    "data.audio_augment": "augmentations of training sounds: audio_augment(kind, ...)",
}
DURATIONS = ("duration", "schedule.warmup", "schedule.cooldown", "schedule.timescale", "checkpoint.every", "log.every")


def default() -> ConfigDict:
    """A new config with every key at its default and empty open sections, locked against unknown keys."""
    config = ConfigDict(_defaults(KEYS))
    for path in OPEN_SECTIONS:
        *parents, name = path.split(".")
        section = config
        for parent in parents:
            section = section[parent]
        section[name] = ConfigDict()
    config.lock()
    for path in OPEN_SECTIONS:
        lookup(config, path).unlock()
    config.streams.image = "image"
    config.streams.text = "text"
    return config


def leaves(keys: Mapping, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Dotted path and `Key` of every key, in order."""
    for name, value in keys.items():
        if isinstance(value, Key):
            yield prefix + name, value
        else:
            yield from leaves(value, f"{prefix}{name}.")


def _defaults(keys: Mapping) -> dict:
    return {k: v.default if isinstance(v, Key) else _defaults(v) for k, v in keys.items()}
