"""Pictures, captions in ten languages, the captions read aloud, and sounds: three modalities from Tux Paint's stamps.

Data:    apt-get install tuxpaint-stamps-default (Debian, GPL-2), or `apt-get download` and `dpkg -x` of it, with
         :FOLDER/usr/share/tuxpaint/stamps behind the config's name.
Command: mmjax train --config=configs/tuxpaint.py --workdir=runs/tuxpaint
"""

from mmjax import config as c

STREAMS = ("image", "text", "audio", "audio_2")
# Languages with at least 40 spoken descriptions; every stamp has a caption in each of them.
LANGUAGES = ("fr", "ro", "ru", "bg", "ca", "es", "be", "el", "da", "en")
SAMPLE_RATE = 16000
SECONDS = 2.0


def get_config(arg: str = ""):
    """`arg`: the folder `stamps`, where it is not where Debian puts it."""
    config = c.default()
    config.duration = "600 steps"
    config.batch_size = 128
    config.embed_dim = 128
    config.ema_decay = 0.99
    source = f"tuxpaint:{{}},path={arg}" if arg else "tuxpaint:{}"
    _data(config, source.format("train"))
    _towers(config)
    _loss(config)
    for language in ("fr", "ru"):
        config.evaluations[f"test_{language}"] = c.evaluation(
            "cross_retrieval",
            source=source.format("test"),
            streams=STREAMS,
            captions="{text}",
            language=language,
            compose="",
            every="100%",
        )
    return config


def _data(config, source):
    """A picture, a caption in one language, read aloud in one of those it is spoken in; for one in six, its sound."""
    config.data.source = source
    config.data.image_size = 32
    config.data.captions = (("{text}", 1.0),)
    config.data.languages = LANGUAGES
    config.data.tokenizer = "emoji-multilingual"
    config.data.context = 24
    config.data.cache = 1024  # all of it decoded
    config.data.audio.update({"sample_rate": SAMPLE_RATE, "seconds": SECONDS})
    config.data.streams.audio = c.stream("audio", audio_keys=("desc.{language}.ogg", "desc.{language}.wav"))
    config.data.streams.audio_2 = c.stream("audio", audio_keys=("sound.ogg",))
    config.data.streams.text = c.stream("text")
    config.data.augment.affine = c.augment("affine", scale=(0.75, 1.2), aspect=0.1, shift=0.09, rotate=10.0)
    config.data.augment.flip = c.augment("flip")


def _towers(config):
    config.towers.image = c.tower(
        "mlp", image_size=32, shrink=2, width=512, depth=3, dropout=0.2, act="gelu_tanh", norm="rms"
    )
    small = {"width": 128, "depth": 2, "heads": 4, "pool": "mean", "act": "gelu_tanh", "norm": "rms"}
    config.towers.text = c.tower("text", vocab_size=4096, context=24, mask_padding=True, **small)
    sound = {"sample_rate": SAMPLE_RATE, "hop": 160, "n_mels": 64, "frames": round(100 * SECONDS)}
    masks = {"time_masks": 1, "time_mask": 30, "freq_masks": 1, "freq_mask": 12}
    config.towers.audio = c.tower("ast", patch_size=16, stride=16, **sound, **masks, **small)
    config.streams.audio, config.streams.audio_2 = "audio", "audio"


def _loss(config):
    config.objectives.pairs = c.objective("pairwise", streams=STREAMS)
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.3
    config.optimizer.no_decay += "|token_embedding"
    config.schedule.warmup = "50 steps"
    config.schedule.end = 0.02
