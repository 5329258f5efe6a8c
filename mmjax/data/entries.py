"""Objects from the entries of an open section of the config, in an order of their own."""

from collections.abc import Mapping
from dataclasses import fields

from mmjax.errors import UserError


def build(entries: Mapping, registry: Mapping[str, type], where: str) -> list:
    """An object for each entry, name -> {kind, **options}, in the registry's order: a config sorts its keys by name.

    Args:
        entries: a section such as `config.data.audio_augment`.
        registry: kind -> dataclass whose fields are the options.
        where: the section's path, for messages.

    Raises:
        UserError: a kind or an option that does not exist, or whatever the class itself refuses.
    """
    order = list(registry)
    for name, entry in entries.items():
        if entry["kind"] not in registry:
            remedy = f"one of {', '.join(order)}"
            raise UserError(f"unknown kind {entry['kind']!r}", where=f"{where}.{name}.kind", remedy=remedy)
    placed = sorted(entries.items(), key=lambda item: (order.index(item[1]["kind"]), item[0]))
    return [_build(dict(entry), registry, f"{where}.{name}") for name, entry in placed]


def _build(options, registry, where):
    kind = registry[options.pop("kind")]
    known = [field.name for field in fields(kind)]
    if unknown := set(options) - set(known):
        raise UserError(f"unknown option {min(unknown)!r}", where=where, remedy=f"one of {', '.join(known)}")
    try:
        return kind(**options)
    except UserError as error:
        raise UserError(error.what, where=where, remedy=error.remedy) from error


def check_span(name: str, span: tuple[float, float]) -> None:
    """Raise `UserError` unless an option is a least and a greatest value."""
    if len(span) != 2 or not span[0] <= span[1]:
        raise UserError(f"{name} is {span!r}", remedy="give the least value, then the greatest")
