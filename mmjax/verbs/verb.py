"""What a verb of the command line is."""

from collections.abc import Callable
from typing import NamedTuple

from absl import flags


class Verb(NamedTuple):
    """One verb: what it does, its flags, the function that does it, which flags must be given, and what takes the rest.

    The rest are arguments that are no flags; `plain` is a flag of several values, or empty where they are a mistake.
    """

    summary: str
    define: Callable[[flags.FlagValues], None]
    run: Callable[[flags.FlagValues], dict | None]
    required: tuple[str, ...] = ("workdir",)
    plain: str = ""
