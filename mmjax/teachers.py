"""Teachers: models that are not trained, whose features objectives and evaluations read as "<teacher>/<stream>"."""

import dataclasses
import functools
import operator
from typing import Any, NamedTuple

import jax

from mmjax.data.streams import make_stream, modality
from mmjax.errors import UserError
from mmjax.model import Model, build_model


@dataclasses.dataclass(frozen=True)
class Ema:
    """The moving average of this model (momentum encoder; He et al. 2019, arXiv 1911.05722).

    Attributes:
        decay: share of the average that a step keeps.
    """

    decay: float = 0.99

    def __post_init__(self):
        if not 0 <= self.decay <= 1:
            raise UserError(f"the decay of a teacher is {self.decay}", remedy="give a share from 0 to 1")

    def update(self, average, params):
        """The average after a step that led to `params`."""
        return jax.tree.map(lambda a, p: a + (1 - self.decay) * (p - a), average, params)


@dataclasses.dataclass(frozen=True)
class Frozen:
    """This model as it started: with `init_from`, as that run left it."""

    def update(self, start, params):
        """As it is."""
        return start


@dataclasses.dataclass(frozen=True)
class Run:
    """The model of another run, by that run's own config; it takes the batches of this one.

    Attributes:
        workdir: folder of the run.
    """

    workdir: str

    def update(self, other, params):
        """As it is."""
        return other


TEACHERS = {"ema": Ema, "frozen": Frozen, "run": Run}

# Kind of a stream -> keys of config.data that decide what of it reaches a tower, beside its shape.
DECIDING = {
    "text": ("tokenizer", "context"),
    "audio": ("audio.sample_rate", "audio.seconds"),
    "series": ("series.steps", "series.channels"),
}


class Teacher(NamedTuple):
    """A teacher's name, its kind, and the model that it encodes with."""

    name: str
    kind: Any
    model: Model


def build_teachers(config, model: Model, platform: str) -> tuple[Teacher, ...]:
    """The teachers of a config, whose own model is `model`.

    Raises:
        UserError: a run that is not there, or whose streams are others than this one's batches hold.
    """
    from mmjax.config import options_of

    teachers = []
    for name, entry in config.teachers.items():
        kind = TEACHERS[entry.kind](**options_of(entry))
        other = build_model(_config_of(kind, config, name), platform) if isinstance(kind, Run) else model
        teachers.append(Teacher(name, kind, other))
    return tuple(teachers)


def _config_of(run: Run, config, name: str):
    """The config of another run; UserError if its towers would misread the batches of this one."""
    from mmjax.training.workdir import read_config

    other, where = read_config(run.workdir), f"config.teachers.{name}.workdir = {run.workdir}"
    shared = [stream for stream in config.streams if stream in other.streams]
    if not shared:
        said = f"its streams are {', '.join(other.streams)}, those here {', '.join(config.streams)}"
        raise UserError(said, where=where, remedy="name a run that has a stream of this one")
    for stream in shared:
        there, here = _deciding(other.data, stream), _deciding(config.data, stream)
        for what, value in there.items():
            if value != here[what]:
                remedy = "a teacher takes the batches of this run: give both the same, or leave the stream out of one"
                raise UserError(f"{what} is {value!r} there and {here[what]!r} here", where=where, remedy=remedy)
    return other


def _deciding(data, stream: str) -> dict[str, Any]:
    """What decides what of a stream reaches its tower: data keys, and the shape of pictures and clips."""
    from mmjax.config import lookup

    kind = modality(stream)
    found = {f"data.{key}": lookup(data, key) for key in DECIDING.get(kind, ())}
    if kind in ("image", "video"):
        found[f"the shape of {stream!r} (image_size, video.frames)"] = make_stream(data, stream).shapes()[""][0]
    return found


def start_teachers(teachers: tuple[Teacher, ...], params) -> dict:
    """Parameters of teachers that start as this model; those of other runs have theirs already (`init_teachers`)."""
    return {t.name: jax.tree.map(lambda x: x.copy(), params) for t in teachers if not isinstance(t.kind, Run)}


def update_teachers(teachers: tuple[Teacher, ...], teacher_params: dict, params) -> dict:
    """Teachers' parameters after a step that led to `params` of the model."""
    return {t.name: t.kind.update(teacher_params[t.name], params) for t in teachers}


def encode(model: Model, teachers: tuple[Teacher, ...], params, teacher_params: dict, batch, *, keys=None) -> dict:
    """Features by name of a batch: the teachers', without dropout and gradient, then the model's.

    Args:
        model: the model that is trained.
        teachers: its teachers.
        params, teacher_params: of the model, and by name of the teachers.
        batch: stream -> (B, ...).
        keys: (B,) per-example keys when training, or None.
    """
    given = {}
    for teacher in teachers:
        frozen = jax.lax.stop_gradient(teacher_params[teacher.name])
        features = teacher.model.apply({"params": frozen}, batch)
        given |= {f"{teacher.name}/{stream}": f for stream, f in features.items()}
    return model.apply({"params": params}, batch, keys=keys, given=jax.lax.stop_gradient(given))


def with_presence(batch: dict, features, model: Model, teachers: tuple[Teacher, ...]) -> dict:
    """`batch` with `<name>_present` (B,) bool for heads and teachers too: where all that they are made of is there."""
    batch = dict(batch)
    for name in features:
        bases = [batch[f"{b}_present"] for b in base_streams(model, teachers, name) if f"{b}_present" in batch]
        if bases:
            batch[f"{name}_present"] = functools.reduce(operator.and_, bases)
    return batch


def base_streams(model: Model, teachers: tuple[Teacher, ...], name: str) -> tuple[str, ...]:
    """The batch streams that the features `name` are made of: of a stream, a head, or a teacher's."""
    by_name = {t.name: t.model for t in teachers}
    bases = []
    for base in model.base_streams(name):
        teacher, _, stream = base.rpartition("/")
        bases += by_name[teacher].base_streams(stream) if teacher else [base]
    return tuple(dict.fromkeys(bases))
