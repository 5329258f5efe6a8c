"""The command line: parse, call, print. What a verb does lives in mmjax.verbs and below."""

import json
import os
import sys

from absl import flags

from mmjax.command_line import define_config, parse
from mmjax.errors import UserError, nearest
from mmjax.startup import tune_allocator
from mmjax.verbs import VERBS
from mmjax.verbs.verb import Verb


def main(argv: list[str] | None = None) -> int:
    """Run `mmjax VERB --flags`; the exit status is 0, 130 after Ctrl-C, or 2 for what is told as one message.

    That is a user's mistake, or a machine that refuses: a full disk, a folder that cannot be read.

    Args:
        argv: verb and flags; None: those of this process, which is left at once if the command failed.
    """
    if argv is None and sys.argv[1:2] == ["train"]:
        tune_allocator()
    status = _run(sys.argv[1:] if argv is None else argv)
    if status and argv is None:
        # Writes that a failure left unfinished call into Python from native threads, and would abort a regular exit.
        sys.stdout.flush()
        os._exit(status)
    return status


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    debug = "--debug" in argv
    if argv[0] in ("bench", "data") and len(argv) > 1 and not argv[1].startswith("-"):
        argv = [f"{argv[0]} {argv[1]}", *argv[2:]]
    try:
        verb = _verb(argv[0])
        values = flags.FlagValues()
        _define_common(values)
        verb.define(values)
        if "config" in verb.required and "config" not in values:
            define_config(values, argv)
        if {"-h", "--help"} & set(argv[1:]):
            print(f"mmjax {argv[0]}: {verb.summary}\n{_flag_help(values)}")
            return 0
        parse(values, verb.required, ["mmjax " + argv[0], *argv[1:]], verb.plain)
        result = verb.run(values)
    except (UserError, OSError, KeyboardInterrupt) as error:
        if debug:
            raise
        print(f"mmjax: {_message(error)}", file=sys.stderr)
        return 130 if isinstance(error, KeyboardInterrupt) else 2
    if values.json and result is not None:
        print(json.dumps(result))
    return 0


def overview() -> str:
    """What `mmjax --help` prints."""
    width = max(map(len, VERBS))
    lines = [f"  {name:{width}} {verb.summary}" for name, verb in VERBS.items()]
    return (
        "mmjax: contrastive multimodal training in JAX\n\nusage: mmjax VERB --flags\n\n"
        + "\n".join(lines)
        + ("\n\n`mmjax VERB --help` lists the flags of a verb; docs/config.md every key of a config.")
    )


def _verb(name: str) -> Verb:
    if name not in VERBS:
        raise UserError(f"unknown verb {name!r}", remedy=nearest(name, VERBS))
    return VERBS[name]


def _define_common(values) -> None:
    flags.DEFINE_bool("json", False, "print one JSON object as the last line", flag_values=values)
    flags.DEFINE_bool("debug", False, "show tracebacks of errors", flag_values=values)


def _flag_help(values) -> str:
    return "\n".join(f"  --{name:14} {values[name].help}" for name in values)


def _message(error: BaseException) -> str:
    """One message for what ended a command."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):
        remedy = "free space, mend permissions, or look closer with --debug"
        return str(UserError(error.strerror or str(error), where=str(error.filename or ""), remedy=remedy))
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
