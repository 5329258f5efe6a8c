"""VIP-ANT: Connecting the Dots between Audio and Text without Parallel Data through Visual Knowledge Transfer (Zhao et
al. 2021, arXiv 2112.08995).

Does:     Trains audio against pictures with the picture tower of a finished picture-text model frozen: audio and text
          meet in the pictures' space without one pair of both.
Files:    configs/papers/vipant.py; mmjax/objectives/contrastive.py, mmjax/training/init_from.py
Differs:  from the paper: made-up vectors and a picture-text model trained here stand for videos and CLIP; the paper's
          curation of captions and its fine-tuning on few pairs are left out. From its released code: nothing known.
Command:  mmjax sweep --config=configs/papers/vipant.py --workdir=runs/papers/vipant
Cost:     about 30 s of a core a seed (9 s a run).
Claim:    Audio finds text without an audio-text pair within 5 points of the weaker of picture to text and audio to
          picture, and better than a model trained on 256 audio-text pairs (chance 0.1 %).
Result:   R@1 in percent among 1,000, seeds 0, 1, 2: audio to text by the pivot 89.5 +- 0.2, where picture to text has
          90.9 +- 0.6 and audio to picture 89.0 +- 0.3; 256 audio-text pairs alone 27.8 +- 2.2.
Verdict:  holds
"""

from mmjax import config as c
from mmjax.experiments import recipes

IMAGE, TEXT, AUDIO = "vector", "vector_2", "vector_3"
WORLD = "shared=12,widths=64/64/64,noise=0.4"
# Picture-text pairs come from one split, picture-audio pairs from another.
ARMS = {
    "image_text": ("train", 8192, (IMAGE, TEXT)),
    "pivot": ("train_2", 8192, (IMAGE, AUDIO)),
    "pairs": ("validation", 256, (TEXT, AUDIO)),
}


def get_config(arg: str = ""):
    """`arg`: "" or "image_text", the first stage; "pivot", audio against its pictures, frozen, with init_from the first

    stage's workdir; "pairs", 256 audio-text pairs alone; "full", the second stage of the paper.
    """
    if arg == "full":
        return _full()
    arg = arg or "image_text"
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    split, count, streams = ARMS[arg]
    config = c.default()
    config.duration = "600 steps"
    config.batch_size = 128
    config.embed_dim = 32
    config.data.source = f"latent:{split},{WORLD},count={count}"
    del config.streams.image, config.streams.text
    for stream in (IMAGE, TEXT, AUDIO):
        config.streams[stream] = stream
        config.towers[stream] = c.tower("vector", hidden=128, depth=1)
    config.objectives.contrastive = c.objective("softmax", streams=streams)
    if arg == "pivot":
        config.optimizer.rules = ((f"^model/({IMAGE}|{TEXT})(_projection)?/", 0.0, 0.0),)
    config.optimizer.weight_decay = 0.01
    config.schedule.warmup = "20 steps"
    test = f"latent:test,{WORLD},count=1000"
    config.evaluations.test = c.evaluation(
        "cross_retrieval", source=test, streams=(IMAGE, TEXT, AUDIO), compose="", every="100%"
    )
    return config


def _full():
    """Audio-picture pairs of AudioSet against frozen CLIP B/32: batches of 432, 25 epochs (from memory; Adam here)."""
    config = c.default()
    config.duration = "25 epochs"
    config.batch_size = 432
    config.embed_dim = 512
    config.data.source = "data/{00000..00399}.tar"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.data.threads = 16
    config.data.audio.sample_rate = 16_000
    config.data.audio.seconds = 10.0
    config.streams.audio = "audio"
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, act="quick_gelu", **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-B/32", act="quick_gelu", **recipes.LEAN)
    config.towers.audio = c.tower("ast", "B", **recipes.LEAN)
    config.objectives.contrastive = c.objective("softmax", streams=("image", "audio"))
    config.optimizer.rules = (("^model/(image|text)(_projection)?/", 0.0, 0.0),)
    config.optimizer.learning_rate = 2e-4
    return config


def get_sweep():
    """The first stage, the second on it, and the few pairs alone."""
    return c.sweep(
        {
            "image_text": {},
            "pivot": {"arg": "pivot", "init_from": "{workdir}/image_text/seed_{seed}"},
            "pairs": {"arg": "pairs"},
        },
        baseline="pairs",
        metrics=tuple(
            f"val/test/{a}_to_{b}_R@1" for a, b in ((AUDIO, TEXT), (TEXT, AUDIO), (AUDIO, IMAGE), (IMAGE, TEXT))
        ),
    )
