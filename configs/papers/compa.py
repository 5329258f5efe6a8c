"""CompA: Addressing the Gap in Compositional Reasoning in Audio-Language Models (Ghosh et al. 2023, arXiv 2310.08753).

Does:     InfoNCE in which each sound meets K captions with its events in another order as further candidates of its
          own; captions that are not there are left out of the sum of exponentials.
Files:    mmjax/objectives/hard_negatives.py, mmjax/losses/softmax.py, mmjax/data/sources/events.py,
          mmjax/evaluation/stream_composition.py
Differs:  from the paper: its further stage, sounds mixed by templates with several positives, is not here. From its
          code, which multiplies the logits of captions to be ignored by -1e5 and so makes negative ones huge: masks.
          The toy is vectors, bags of two events with a weak cue of their order. The recipe of `full` is from memory of
          the paper.
Command:  mmjax sweep --config=configs/papers/compa.py --workdir=runs/papers/compa
Cost:     at most 130 s on 2 cores (4 arms x 3 seeds).
Claim:    hard negatives raise the group score of sounds and captions of the same events in another order at the same
          R@1, where training has both orders; where it has one alone they do not.
Result:   group score, text score, R@1 from sounds to captions; both orders trained: 53.3 +- 1.4 %, 82.8 +- 0.7, 89.0 +-
          0.2 with hard negatives, 12.3 +- 0.2, 43.1 +- 0.8, 86.9 +- 0.3 without. One order alone: 7.9 +- 0.7, 11.7 +-
          0.6, 76.5 +- 0.2 with, 4.9 +- 0.4, 25.1 +- 0.1, 84.9 +- 0.3 without; seeds 0, 1, 2.
Verdict:  holds: four times the group score at a higher R@1 where both orders are trained; with one order alone the
          group score stays low and R@1 falls, for the wrong order of a caption is told without its sound.
"""

from mmjax import config as c
from mmjax.experiments import recipes

ARMS = {"": 0, "vanilla": 0, "sorted": 1, "sorted_vanilla": 1}
WORLD = "events=100,order=0.35,said=0.15"
TEST = f"events:test,count=2000,{WORLD}"


def get_config(arg: str = ""):
    """`arg`: "" with hard negatives, "vanilla" without; "sorted" and "sorted_vanilla" where one order is never seen."""
    if arg == "full":
        return _full()
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: one of {', '.join(filter(None, ARMS))}, 'full' or none")
    config = c.default()
    config.duration = "500 steps"
    config.batch_size = 256
    config.embed_dim = 64
    config.data.source = f"events:train,{WORLD},sorted={ARMS[arg]}"
    config.data.threads = 1
    del config.streams.image, config.streams.text
    tower = c.tower("vector", hidden=128, depth=2)
    config.towers.audio, config.towers.text = tower, tower
    config.streams.update({"vector": "audio", "vector_2": "text", "vector_3": "text", "vector_4": "audio"})
    if "vanilla" in arg:
        config.objectives.contrastive = c.objective("softmax", streams=("vector", "vector_2"))
    else:
        config.objectives.contrastive = c.objective(
            "hard_negatives", streams=("vector", "vector_2"), negatives=("vector_3",)
        )
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.01
    config.schedule.warmup = "40 steps"
    config.evaluations.test = c.evaluation(
        "cross_retrieval", source=TEST, streams=("vector", "vector_2"), compose="", every="100%"
    )
    config.evaluations.order = c.evaluation("stream_composition", source=TEST, every="100%")
    return config


def _full():
    """CLAP's audio and text towers on AudioSet-CompA with up to three captions of another order (section 3.3)."""
    config = c.default()
    config.duration = "20 epochs"
    config.batch_size = 96
    config.embed_dim = 512
    config.data.source = "audioset-compa/{000..099}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.captions = (("{caption}", 1.0),)
    config.data.context = 77
    config.data.audio.update({"sample_rate": 16000, "seconds": 10.0})
    del config.streams.image
    config.streams.audio = "audio"
    config.towers.audio = c.tower("ast", "B", sample_rate=16000, **recipes.LEAN)
    config.towers.text = c.tower(
        "text", "B", vocab_size=32_000, context=77, pool="mean", mask_padding=True, **recipes.LEAN
    )
    negatives = ("text_2", "text_3", "text_4")
    for number, stream in enumerate(negatives):
        config.streams[stream] = "text"
        config.data.streams[stream] = c.stream("text", captions=((f"{{negative_{number}}}", 1.0),))
    config.objectives.contrastive = c.objective("hard_negatives", streams=("audio", "text"), negatives=negatives)
    config.optimizer.learning_rate = 5e-4
    config.schedule.warmup = "3200 steps"
    return config


def get_sweep():
    """Hard negatives against none, where both orders are trained and where one is never seen."""
    return c.sweep(
        {"compa": {}} | {name: {"arg": name} for name in ARMS if name},
        seeds=(0, 1, 2),
        baseline="vanilla",
        metrics=("val/order/group_score", "val/order/text_score", "val/test/vector_to_vector_2_R@1"),
    )
