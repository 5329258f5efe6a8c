"""The one exception for a user's mistake: it says what is wrong, where, and what to do."""


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
