"""MCL: Learning the Unlearned, Mitigating Feature Suppression in Contrastive Learning (Zhang et al. 2024, arXiv
2402.11816).

Does:     In stages: each stage draws every batch, so all negatives, from one cluster of what the stages before have
          learned, where that is no help any more; the final embedding is that of all stages side by side.
Files:    mmjax/data/groups.py, mmjax/experiments/cluster.py, mmjax/heads/concat.py
Differs:  from the paper: made-up vectors of a loud and a faint factor for its pictures. From its released code: groups
          are the cumulative assignment of all stages before, there the current stage's labels are read each time.
Command:  mmjax sweep --config=configs/papers/mcl.py --workdir=runs/papers/mcl --only=stage_0
          for s in 0 1 2; do mmjax cluster --workdir=runs/papers/mcl/stage_0/seed_$s --stream=vector --clusters=10
          --least=64 --out=runs/papers/mcl/stage_0/seed_$s/groups.npy; done
          mmjax sweep --config=configs/papers/mcl.py --workdir=runs/papers/mcl
Cost:     about 30 s of a core a seed (8 to 10 s a run).
Claim:    A first stage tells the loud factor and hardly the faint one; a second within its clusters the faint one;
          both side by side tell both, which two first stages side by side do not (linear probes, chance 10 %).
Result:   accuracy of the probes in percent, loud factor / faint factor: first stage 100.0 +- 0.0 / 13.2 +- 2.9, second
          stage 9.8 +- 0.5 / 99.4 +- 0.2, both side by side 100.0 +- 0.0 / 99.4 +- 0.3; two first stages side by side
          100.0 / 25.5 and 24.1 (seeds 0 and 1).
Verdict:  holds
"""

from mmjax import config as c
from mmjax.experiments import recipes

WORLD = "values=10/10,strengths=2/0.7,width=40,noise=0.5"
ARMS = ("stage_0", "stage_1", "control")


def get_config(arg: str = ""):
    """`arg`: "" or "stage_0"; "stage_1,before=WORKDIR", within WORKDIR/groups.npy; "control,before=WORKDIR"; "full"."""
    arm, options = _parsed(arg or "stage_0")
    if arm == "full":
        return _full()
    config = c.default()
    config.duration = "800 steps"
    config.batch_size = 64
    config.embed_dim = 4
    config.data.source = f"factors:train,{WORLD}"
    del config.streams.image, config.streams.text
    for stream in ("vector", "vector_2"):
        config.streams[stream] = f"{stream}_{arm}"  # another name is another start
        config.towers[f"{stream}_{arm}"] = c.tower("vector", hidden=128, depth=1)
    config.objectives.contrastive = c.objective("softmax", streams=("vector", "vector_2"), temperature=0.5)
    config.optimizer.rules = (("logit_scale", 0.0, 0.0),)
    config.optimizer.weight_decay = 0.01
    config.schedule.warmup = "20 steps"
    _probes(config, "vector")
    if arm in ("stage_1", "control"):
        _beside(config, options["before"])
    if arm == "stage_1":
        config.data.groups = f"{options['before']}/groups.npy"
    return config


def _parsed(arg):
    """(arm, {option: value}) of an argument."""
    arm, *parts = arg.split(",")
    options = dict(part.split("=", 1) for part in parts)
    needed = {"before"} if arm in ("stage_1", "control") else set()
    if arm not in (*ARMS, "full") or set(options) != needed:
        raise ValueError(f"unknown argument {arg!r}: stage_0, stage_1,before=DIR or control,before=DIR; or full")
    return arm, options


def _probes(config, stream):
    """Both factors, told from a stream or head by logistic regression."""
    for factor in ("factor_1", "factor_2"):
        config.evaluations[f"{stream}_{factor}"] = c.evaluation(
            "linear_probe",
            train=f"{config.data.source},count=2000",
            source=f"factors:test,{WORLD},count=1000",
            label=factor,
            streams=(stream,),
        )


def _beside(config, before):
    """The earlier run's embeddings beside this one's."""
    config.teachers.before = c.teacher("run", workdir=before)
    config.heads.stages = c.head("concat", streams=("before/vector", "vector"))
    _probes(config, "stages")


def _full():
    """A first stage on CIFAR: SimCLR, 200 epochs of batches of 512, a ViT-S/4 for their ResNet-18 (from memory).

    Later stages add data.groups, as above.
    """
    config = c.default()
    config.duration = "200 epochs"
    config.batch_size = 512
    config.embed_dim = 128
    config.data.source = "data/cifar10-{00..09}.tar"
    config.data.image_size = 32
    config.data.threads = 16
    config.data.augment.crop = c.augment("crop", scale=(0.2, 1.0))
    config.data.augment.flip = c.augment("flip")
    config.data.augment.jitter = c.augment("jitter")
    config.data.augment.grayscale = c.augment("grayscale")
    del config.streams.text
    config.streams.image_2 = "image"
    config.towers.image = c.tower("vit", "S/4", image_size=32, pool="mean", **recipes.LEAN)
    config.objectives.contrastive = c.objective("supervised", streams=("image", "image_2"), temperature=0.5)
    return config


def get_sweep():
    """Both stages, and two first stages side by side."""
    first = "{workdir}/stage_0/seed_{seed}"
    return c.sweep(
        {
            "stage_0": {},
            "stage_1": {"arg": f"stage_1,before={first}"},
            "control": {"arg": f"control,before={first}"},
        },
        baseline="stage_0",
        metrics=tuple(
            f"val/{space}_{factor}/acc1" for space in ("vector", "stages") for factor in ("factor_1", "factor_2")
        ),
    )
