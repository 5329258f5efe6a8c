"""The settings of a source as its spec writes them: "SPLIT,name=value,name=value"."""

from mmjax.errors import UserError


def parse_settings(text: str, defaults: dict[str, str], where: str) -> dict[str, str]:
    """`defaults` with the settings of a spec put in; a word without "=" is the split.

    Raises:
        UserError: no such setting.
    """
    settings = dict(defaults)
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=") if "=" in part else ("split", "=", part)
        if name not in defaults:
            raise UserError(f"no setting {name!r}", where=where, remedy=f"use {', '.join(defaults)}")
        settings[name] = value
    return settings


def choose(name: str, value: str, choices, where: str) -> str:
    """`value` if it is one of `choices`, else UserError."""
    if value not in choices:
        raise UserError(f"no {name} {value!r}", where=where, remedy=f"use one of {', '.join(choices)}")
    return value


def whole_number(name: str, value: str, least: int, most: int, where: str) -> int:
    """`value` as a number from `least` to `most`, else UserError."""
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise UserError(f"{name}={value} is no number from {least} to {most}", where=where, remedy="change it")
    return int(value)


def real_number(name: str, value: str, where: str) -> float:
    """`value` as a finite number of at least 0, else UserError."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise UserError(f"{name}={value} is no number of at least 0", where=where, remedy="change it")
    return number
