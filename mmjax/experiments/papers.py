"""The table of papers, from the docstrings of configs/papers/*.py:

python -m mmjax.experiments.papers > configs/papers/README.md
"""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

from mmjax.errors import UserError

FOLDER = Path("configs/papers")
FIELDS = ("Does", "Files", "Differs", "Command", "Cost", "Claim", "Result", "Verdict")
VERDICTS = ("holds", "does not hold", "partly holds", "not tested here")
TITLE = re.compile(r"(?P<name>.+?): (?P<title>.+) \((?P<cited>[^()]+ \d{4}[^()]*)\)\.")
ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")
HEAD = """# Papers as configs

Written by `python -m mmjax.experiments.papers`; a test checks that it is current. A config's first lines say what it
does, what differs from the paper and from its code, and what was measured how. `mmjax sweep` with the config's command
repeats a result; `:full` is the paper's own recipe, for `mmjax plan`.

{counts}

| paper | mechanism | config | claim | result | verdict |
|---|---|---|---|---|---|
"""


class Paper(NamedTuple):
    """A config's docstring taken apart: its file, its title, and the text of each of FIELDS, on one line."""

    file: Path
    name: str
    title: str
    cited: str
    fields: dict[str, str]


def read_paper(file: Path) -> Paper:
    """The docstring of a paper's config.

    Raises:
        UserError: naming the file and what in its docstring is missing, empty, unknown or out of order.
    """
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    head, _, body = text.partition("\n\n")
    match = TITLE.fullmatch(" ".join(head.split()))
    if not match:
        remedy = 'write "NAME: Title (Authors YEAR, arXiv NUMBER)." and an empty line'
        raise UserError(f"the docstring begins with {head!r}", where=str(file), remedy=remedy)
    found = re.findall(r"^(\w+): *(.*(?:\n {10}.*)*)", body, re.M)
    _check_fields(file, [name for name, _ in found], body)
    fields = {name: " ".join(value.split()) for name, value in found}
    for name in (name for name in FIELDS if not fields[name]):
        raise UserError(f"the field {name!r} is empty", where=str(file), remedy="fill it")
    if not fields["Verdict"].startswith(VERDICTS):
        remedy = f"begin with one of: {'; '.join(VERDICTS)}"
        raise UserError(f"Verdict is {fields['Verdict']!r}", where=str(file), remedy=remedy)
    return Paper(file, match["name"], match["title"], match["cited"], fields)


def table(folder: Path = FOLDER) -> str:
    """The text of configs/papers/README.md: a row for each config, by name."""
    papers = [read_paper(file) for file in sorted(folder.glob("*.py"))]
    rows = [_row(paper) for paper in sorted(papers, key=lambda paper: paper.name.lower())]
    return HEAD.format(counts=_counts(papers)) + "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows
    )


def _counts(papers: list[Paper]) -> str:
    """How often each verdict was given."""
    given = [next(v for v in VERDICTS if paper.fields["Verdict"].startswith(v)) for paper in papers]
    counts = ", ".join(f"{verdict} {given.count(verdict)}" for verdict in VERDICTS if verdict in given)
    return f"Verdicts on {len(papers)} claims, each as tested in its small world: {counts}."


def _row(paper: Paper) -> tuple[str, ...]:
    cited = ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", paper.cited)
    config = f"[{paper.file.stem}]({paper.file.name})"
    does, claim, result, verdict = (paper.fields[name] for name in ("Does", "Claim", "Result", "Verdict"))
    return f"**{paper.name}**: {paper.title} ({cited})", does, config, claim, result, verdict


def _check_fields(file: Path, names: list[str], body: str) -> None:
    for name in (name for name in FIELDS if name not in names):
        raise UserError(f"the field {name!r} is missing", where=str(file), remedy=f"the fields are {', '.join(FIELDS)}")
    if tuple(names) != FIELDS:
        remedy = f"give {', '.join(FIELDS)}, each once, in this order"
        raise UserError(f"the fields are {', '.join(names)}", where=str(file), remedy=remedy)
    for line in body.splitlines():
        if line and not line.startswith((" " * 10, *(f"{name}:" for name in FIELDS))):
            raise UserError(f"the line {line!r} is in no field", where=str(file), remedy="indent it by 10 spaces")


if __name__ == "__main__":
    try:
        print(table(), end="")
    except UserError as error:
        sys.exit(f"mmjax: {error}")
