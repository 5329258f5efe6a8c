"""Packages that only some data needs, imported when it does."""

import importlib
from types import ModuleType

from mmjax.errors import UserError


def optional(module: str, extra: str, what: str) -> ModuleType:
    """The imported `module`; UserError with the install command where it is missing or cannot be loaded.

    Args:
        module: name to import, such as "soundfile".
        extra: the extra of mmjax that installs it.
        what: what needs it, for the message.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: a wheel whose shared library is not there
        raise UserError(
            f"{what} needs the package {module}: {error}", remedy=f"pip install 'mmjax[{extra}]'"
        ) from error
