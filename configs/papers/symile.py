"""Symile: Contrasting with Symile, Simple Model-Agnostic Representation Learning for Unlimited Modalities (Saporta et
al. 2024, arXiv 2411.01053).

Does:     Contrasts all modalities together: the logit of a tuple is scale * sum_d x_d y_d z_d; every modality is the
          anchor in turn, its negatives are the other modalities shuffled independently ("n") or all tuples.
Files:    mmjax/losses/symile.py, mmjax/objectives/multimodal.py
Differs:  from the paper: on the toy data the scale starts at 1 (there exp(-0.3)), batches of 512 (there 1,000); at full
          scale frozen towers stand where the authors read stored features. From its released code: nothing known.
Command:  mmjax sweep --config=configs/papers/symile.py --workdir=runs/papers/symile
Cost:     100 s on 2 cores (4 arms x 3 seeds).
Claim:    The third of three streams of 5 bits is the exclusive or of the others, so that pairs tell nothing: of the 32
          vectors, Symile finds the second stream's from the other two, contrast of pairs stays at chance (3.1 %); where
          only half of the samples are exclusive ors, Symile finds about half.
Result:   accuracy 99.9 +- 0.0 %, pairs 3.5 +- 0.8; where half of the samples are exclusive ors 48.5 +- 1.8, pairs 3.4
          +- 0.1; seeds 0, 1, 2.
Verdict:  holds, in each of three seeds.
"""

from mmjax import config as c
from mmjax.experiments import recipes

STREAMS = ("vector", "vector_2", "vector_3")
ARMS = {
    "": ("symile", "1"),
    "pairwise": ("pairwise", "1"),
    "half": ("symile", "0.5"),
    "half_pairwise": ("pairwise", "0.5"),
}


def get_config(arg: str = ""):
    """`arg`: "" for Symile, "pairwise", "half" and "half_pairwise" with half as many exclusive ors; "full"."""
    if arg == "full":
        return _full()
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(filter(None, ARMS))}, or none")
    kind, share = ARMS[arg]
    config = c.default()
    config.duration = "300 steps"
    config.batch_size = 512
    config.embed_dim = 16
    config.data.source = f"xor:modalities=3,dims=5,p={share}"
    del config.streams.image, config.streams.text
    for stream in STREAMS:
        config.streams[stream] = stream
        config.towers[stream] = c.tower("vector", projection="affine")
    config.objectives.contrastive = c.objective(kind, streams=STREAMS, temperature=1.0)
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 0.01
    config.optimizer.b2 = 0.999
    config.optimizer.clip_norm = 0.0
    config.schedule.name = "constant"
    config.schedule.warmup = "0 steps"
    compose = "product" if kind == "symile" else "sum"
    source = f"{config.data.source},split=test"
    config.evaluations.test = c.evaluation("xor_choice", source=source, streams=STREAMS, compose=compose, every="100%")
    return config


def _full():
    """Symile-M3: 10 million samples of audio, picture and text, 24 epochs of batches of 280 (from memory).

    Whisper large and CLIP L/14 are frozen; of the text model the authors keep and train its embeddings and first layer.
    """
    config = c.default()
    config.duration = "24 epochs"
    config.batch_size = 280
    config.embed_dim = 8192
    config.data.source = "data/{00000..00999}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 224
    config.data.context = 64
    config.data.threads = 16
    config.data.audio.sample_rate = 16_000
    config.data.audio.seconds = 30.0
    config.streams.audio = "audio"
    config.towers.image = c.tower("vit", "clip-L/14", image_size=224, projection="affine", **recipes.LEAN)
    config.towers.audio = c.tower("audio_conv", "whisper-large", projection="affine", **recipes.LEAN)
    config.towers.text = c.tower(
        "text", vocab_size=250_002, context=64, width=1024, depth=1, heads=16, pool="mean", projection="affine"
    )
    config.objectives.contrastive = c.objective("symile", streams=("audio", "image", "text"))
    config.optimizer.rules = (("^model/(audio|image)/", 0.0, 0.0),)
    config.optimizer.learning_rate = 1e-4
    config.optimizer.weight_decay = 0.01
    return config


def get_sweep():
    """Products against pairs, where all samples are exclusive ors and where half are."""
    cells = {
        "symile": {},
        "pairwise": {"arg": "pairwise"},
        "half": {"arg": "half"},
        "half_pairwise": {"arg": "half_pairwise"},
    }
    return c.sweep(cells, baseline="pairwise", metrics=("val/test/accuracy",))
