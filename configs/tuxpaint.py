"""Pictures, captions in ten languages, the captions read aloud, and sounds: three modalities from Tux Paint's stamps.

Data:    apt-get install tuxpaint-stamps-default (Debian, GPL-2), or `apt-get download` and `dpkg -x` of it, with
         :FOLDER/usr/share/tuxpaint/stamps behind the config's name; the extras audio and emoji (for drawings in SVG).
Command: mmjax train --config=configs/tuxpaint.py --workdir=runs/tuxpaint
Cost:    7 minutes on two quiet CPU cores (600 steps, about 210 examples/s), one of them for start and evaluation.
Result:  R@1/5/10 in percent, mean of seeds 0, 1 and 2, on 164 stamps with captions that were not trained; captions and
         speech are French on the left, Russian on the right.

                                   fr                  ru
          picture -> caption   4.1 13.0 19.5    3.0  9.6 14.2
          picture -> speech    2.8  8.0 13.2    1.1  4.6  9.4
          picture -> sound    14.8 44.4 66.7   14.8 44.4 66.7
          caption -> picture   3.9 12.6 18.7    2.0  9.6 12.0
          caption -> speech    3.5  8.2 14.9    2.4  7.0 14.0
          caption -> sound    11.1 38.9 53.7    7.4 35.2 57.4
           speech -> picture   1.3  5.0 10.2    1.1  5.9 10.7
           speech -> caption   1.3  6.5 13.0    1.5  4.8 12.3
           speech -> sound     5.6 31.5 57.4   16.7 44.4 74.1
            sound -> picture  13.0 40.7 66.7   13.0 40.7 66.7
            sound -> caption   5.6 33.3 64.8    9.3 35.2 57.4
            sound -> speech    9.3 35.2 57.4    9.3 46.3 68.5

         Chance is 0.6/3.0/6.1 among pictures, captions and speech, and 5.6/27.8/55.6 where one side is a sound: only 18
         of the stamps have any, one clip is 5.6 points, and those rows say little. Among the others seeds differ by up
         to 4 points at R@1 and 9 at R@10. Everything is learned from 564 stamps: pictures and captions find one another
         two to seven times as often as chance, speech and either of them 1.4 to six times.
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
