"""Names of rows, a line each in a text file, and the row of each name."""

import numpy as np

from mmjax.data.sources.files import Files
from mmjax.data.sources.line_file import LineFile
from mmjax.errors import UserError


class Keys:
    """The rows of a table of names. Held in memory are 8 bytes a row and those of the longest name.

    Attributes:
        names: (N,) bytes, UTF-8, in the order of the rows.

    Raises:
        UserError: a name is there twice.
    """

    def __init__(self, lines: LineFile):
        files = Files()
        self.names = np.array([lines.line(files, i).encode() for i in range(len(lines))])
        self._order = np.argsort(self.names, kind="stable")
        ordered = self.names[self._order]
        if len(repeated := ordered[1:][ordered[1:] == ordered[:-1]]):
            what = f"the key {repeated[0].decode()!r} is there twice"
            raise UserError(what, where=lines.path, remedy="give each row a key of its own")

    def find(self, key: str) -> int | None:
        """The row of that name; None if there is none."""
        place = int(np.searchsorted(self.names, key.encode(), sorter=self._order))
        row = int(self._order[min(place, len(self._order) - 1)])
        return row if self.names[row] == key.encode() else None
