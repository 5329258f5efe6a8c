"""Values of a config: by dotted path, as JSON text, and where two configs differ."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

# Keys that leave the numbers of a run as they are, so that a resumed run may change them.
FREE_ON_RESUME = (
    *("mesh.", "log.", "profile.", "checkpoint."),
    *("data.threads", "data.workers", "data.prefetch", "data.cache", "on_nonfinite"),
)


def lookup(config: Mapping, path: str) -> Any:
    """The value under a dotted path such as "optimizer.b1"."""
    for name in path.split("."):
        config = config[name]
    return config


def flatten(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf, in order."""
    for name, value in config.items():
        if isinstance(value, Mapping | ConfigDict) and len(value):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, keys in order."""
    return json.dumps(config.to_dict(), indent=2)


def from_json(text: str) -> ConfigDict:
    """A config written by `to_json`: lists become tuples again."""

    def revive(value):
        if isinstance(value, dict):
            return {k: revive(v) for k, v in value.items()}
        return tuple(map(revive, value)) if isinstance(value, list) else value

    return ConfigDict(revive(json.loads(text)))


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Lines "key: old -> new" for keys whose change would change the numbers of a run."""
    before, after = dict(flatten(old)), dict(flatten(new))
    changed = [k for k in sorted({*before, *after}) if before.get(k, "absent") != after.get(k, "absent")]
    changed = [k for k in changed if not k.startswith(FREE_ON_RESUME)]
    return [f"{k}: {before.get(k, 'absent')} -> {after.get(k, 'absent')}" for k in changed]
