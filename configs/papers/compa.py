"""CompA: Addressing the Gap in Compositional Reasoning in Audio-Language Models (Ghosh et al. 2023, arXiv 2310.08753).

TODO
"""

from mmjax import config as c

ARMS = {"": 0, "vanilla": 0, "sorted": 1, "sorted_vanilla": 1}
WORLD = "events=100,order=0.35,said=0.1"
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
    return None
