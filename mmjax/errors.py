"""The one exception for a user's mistake: it says what is wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend.

    The command line prints it as one message and exits with status 2; a traceback appears only with `--debug`.

    Args:
        what: what is wrong, with the offending value.
        where: file, key, shard and sample, or array shape; empty if `what` already says so.
        remedy: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = ""):
        self.what, self.where, self.remedy = what, where, remedy
        lines = [what] + [f"  where: {where}"] * bool(where) + [f"  to do: {remedy}"] * bool(remedy)
        super().__init__("\n".join(lines))


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence that points to the most similar of `names`, and lists them."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return (f"did you mean {close[0]!r}? " if close else "") + f"known: {', '.join(sorted(names))}"
