"""The sources that a config names, and whether they are there."""

from mmjax import config as config_lib
from mmjax.data.sources import open_source
from mmjax.errors import UserError

# What else of an evaluation is a source.
SOURCE_OPTIONS = ("train", "bank", "pairs", "outside")


def training_keys(config) -> list[str]:
    """Dotted keys of the sources that a config trains on."""
    return [f"data.mixture.{name}.source" for name in config.data.mixture] or ["data.source"]


def evaluation_keys(config) -> dict[str, str]:
    """Dotted keys of the sources that a config evaluates on, by the name of the evaluation and what it is to it."""
    keys = {}
    for name, evaluation in config.evaluations.items():
        keys[name] = f"evaluations.{name}.source"
        used = (option for option in SOURCE_OPTIONS if evaluation.get(option))
        keys |= {f"{name} {option}": f"evaluations.{name}.{option}" for option in used}
    return keys


def fingerprints(config) -> dict[str, str]:
    """Fingerprint of every source that the config evaluates on; UserError naming the key of one that does not open."""
    return {name: open_key(config, key).fingerprint() for name, key in evaluation_keys(config).items()}


def open_key(config, key: str):
    """The source under a dotted key.

    Raises:
        UserError: it cannot be opened, naming the key.
    """
    spec = config_lib.lookup(config, key)
    try:
        return open_source(spec)
    except UserError as error:
        remedy = error.remedy.replace("config.data.source", f"config.{key}")
        raise UserError(error.what, where=f"config.{key} = {spec!r}; {error.where}", remedy=remedy) from error
