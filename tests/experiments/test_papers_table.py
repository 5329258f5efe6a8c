"""The table of papers: complete, current, and strict about the docstrings that it is made of."""

from pathlib import Path

import pytest

from mmjax.errors import UserError
from mmjax.experiments.papers import FIELDS, read_paper, table

FOLDER = Path(__file__).parents[2] / "configs" / "papers"
GOOD = '''"""GRAM: Gramian Learning | Alignment (Cicchetti et al. 2024, arXiv 2412.11959).

Does:     volumes of all modalities,
          sqrt(det G).
Files:    mmjax/losses/gram.py
Differs:  nothing known.
Command:  mmjax sweep --config=configs/papers/gram.py --workdir=runs/papers/gram
Cost:     40 s.
Claim:    R@1 above pairs.
Result:   gram 0.4 +- 0.1, pairs 0.3 +- 0.1
          (three seeds).
Verdict:  partly holds: only so.
"""
'''


def paper(tmp_path, text: str):
    file = tmp_path / "gram.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_every_config_tells_everything(file):
    found = read_paper(file)
    assert found.fields.keys() == set(FIELDS)
    command = found.fields["Command"]
    assert f"configs/papers/{file.name}" in command, command
    for named in found.fields["Files"].replace(",", " ").split():
        named = named.strip(".;()")
        if named.startswith(("mmjax/", "configs/")) and "{" not in named:
            assert (FOLDER.parents[1] / named).exists(), f"{file.name} names {named}"


def test_the_table_is_current():
    said = "python -m mmjax.experiments.papers > configs/papers/README.md writes it"
    assert (FOLDER / "README.md").read_text() == table(FOLDER), said


def test_a_docstring_becomes_a_row(tmp_path):
    found = read_paper(paper(tmp_path, GOOD))
    assert (found.name, found.title) == ("GRAM", "Gramian Learning | Alignment")
    assert found.fields["Does"] == "volumes of all modalities, sqrt(det G)."
    assert found.fields["Result"] == "gram 0.4 +- 0.1, pairs 0.3 +- 0.1 (three seeds)."
    text = table(tmp_path)
    assert "Verdicts on 1 claims, each as tested in its small world: partly holds 1.\n" in text
    row = text.splitlines()[-1]
    cited = "Cicchetti et al. 2024, [arXiv 2412.11959](https://arxiv.org/abs/2412.11959)"
    assert row.startswith(f"| **GRAM**: Gramian Learning \\| Alignment ({cited}) | volumes of")
    assert row.endswith(
        " | [gram](gram.py) | R@1 above pairs. | " + found.fields["Result"] + " | partly holds: only so. |"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Cost:     40 s.\n", "", "the field 'Cost' is missing"),
        ("Claim:    R@1 above pairs.", "Claim:", "the field 'Claim' is empty"),
        ("Files:", "File:", "the field 'Files' is missing"),
        ("Cost:     40 s.\n", "Cost:     40 s.\nMemory:   1 GiB.\n", "the fields are Does"),
        ("          sqrt(det G).", "  sqrt(det G).", "the line '  sqrt(det G).' is in no field"),
        ("partly holds: only so.", "proven", "Verdict is 'proven'"),
        ("Does:", "Files:    x\nDoes:", "the fields are Files, Does"),
        ("Cicchetti et al. 2024, arXiv 2412.11959", "Cicchetti et al.", "the docstring begins with"),
        ("GRAM: ", "GRAM ", "the docstring begins with"),
    ],
)
def test_faults_name_file_and_field(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(UserError) as error:
        read_paper(paper(tmp_path, GOOD.replace(old, new)))
    assert said in str(error.value) and "gram.py" in error.value.where
