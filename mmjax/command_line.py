"""Flags and config files of the command line, every failure told as a UserError with its place."""

import os
import re
import runpy
import traceback
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from mmjax.errors import UserError


def define_config(values, argv: list[str]) -> None:
    """Define `--config=FILE.py:ARG` and the `--config.key=value` that occur in `argv`."""
    config_flags.DEFINE_config_file(
        "config",
        None,
        "config file, with --config.key=value for single keys",
        flag_values=values,
        sys_argv=["mmjax", *argv],
        lock_config=False,
    )
    values["config"].parser.parse = _load_config  # ml_collections' own wraps what a file raises, and loses its place


def parse(values, required: tuple[str, ...], argv: list[str], plain: str = "") -> None:
    """Parse flags and load the config file.

    Args:
        values: absl's FlagValues, in which the verb's flags are defined.
        required: names of flags that must be given.
        argv: the command, "mmjax VERB", and what follows it.
        plain: the flag of several values that takes the arguments which are no flags; empty: there may be none.

    Raises:
        UserError: for whatever is wrong in the flags or in the config file.
    """
    help = f"`{argv[0]} --help` lists the flags"
    try:
        values.set_gnu_getopt(True)  # flags may follow other arguments
        rest = values(argv)
    except flags.Error as error:
        raise UserError(str(error), remedy=help) from error
    except (AttributeError, KeyError) as error:
        raise _unknown_key(error, argv) from error
    if plain and rest[1:]:
        values[plain].value, rest = [*(values[plain].value or ()), *rest[1:]], rest[:1]
    missing = [name for name in required if values[name].value in (None, "", [])]
    if missing:
        raise UserError(f"--{missing[0]} is missing", remedy=help)
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}", remedy="flags are written --name=value")


def _load_config(path: str):
    """The config of "FILE.py" or "FILE.py:ARG"; a config file is a program, and whatever it raises is a UserError."""
    file, colon, argument = path.partition(":")
    try:
        get_config = runpy.run_path(file).get("get_config", lambda *_: None)
        config = get_config(argument) if colon else get_config()
    except UserError:
        raise
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        raise UserError(f"the config file is no Python: {error.msg}", where=where, remedy="mend that line") from error
    except Exception as error:
        if isinstance(error, AttributeError | KeyError) and _frames(error)[-1][0].endswith("config_dict.py"):
            raise _unknown_key(error) from error
        what = f"the config does not load: {type(error).__name__}: {error}"
        raise UserError(what, where=_place(error) or path, remedy="mend it; --debug shows the traceback") from error
    if not hasattr(config, "to_dict"):
        remedy = "let it return a changed default()"
        raise UserError("no get_config, or it returns no config", where=path, remedy=remedy)
    return config


def _unknown_key(error: Exception, argv: Sequence[str] = ()) -> UserError:
    """What ml_collections says of an unknown key, without its dump of the whole config."""
    text = str(error)
    close = re.search(r'Did you mean "(\w+)" instead of "(\w+)"', text)
    name = close[2] if close else (re.search(r"\w+", text.replace('Key "', "")) or [text])[0]
    flag = next((a.split("=")[0] for a in argv if re.search(rf"^--config\.(\w+\.)*{name}(\.|=|$)", a)), None)
    remedy = (f"did you mean {close[1]!r}? " if close else "") + "docs/config.md lists every key"
    return UserError(f"unknown config key {name!r}", where=flag or _place(error), remedy=remedy)


def _place(error: BaseException) -> str:
    """File and line of the innermost frame that is in no library; empty if there is none."""
    here = os.path.dirname(__file__)
    own = [f for f in _frames(error) if "/lib/python3" not in f[0] and not f[0].startswith((here, "<"))]
    return "{}:{}".format(*own[-1]) if own else ""


def _frames(error: BaseException) -> list[tuple[str, int]]:
    """File and line of every frame of a traceback, the innermost last."""
    return [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
