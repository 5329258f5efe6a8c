"""The lines of Python in docs/data.md and docs/encoders.md make valid configs, and their tables leave nothing out."""

import pathlib
import re
import runpy

import pytest

from mmjax import config as config_lib
from mmjax.data.augments import AUGMENTS
from mmjax.data.augments.sounds import AUDIO_AUGMENTS
from mmjax.data.sources import PREFIXES
from mmjax.data.streams import STREAMS
from mmjax.encoders import ENCODERS

ROOT = pathlib.Path(__file__).parent.parent
DATA, ENCODER = ((ROOT / "docs" / name).read_text() for name in ("data.md", "encoders.md"))
BLOCKS = re.findall(r"```python\n(.*?)```", DATA + ENCODER, re.S)


def first_cells(text: str, title: str) -> list[str]:
    """What is in backticks at the beginning of the rows of the first table below a title."""
    rows = re.search(rf"# {title}\n.*?\n\|---[|-]*\n((?:\|[^\n]*\n)+)", text, re.S)[1]
    return [re.match(r"\| `(\w+)`", row)[1] for row in rows.splitlines()]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_lines_make_a_valid_config(block):
    config = runpy.run_path(str(ROOT / "configs" / "pairs.py"))["get_config"]()
    before = config.to_dict()
    exec(block, {"config": config, "c": config_lib})
    config_lib.validate(config)
    assert config.to_dict() != before


def test_tables_name_every_kind():
    assert sorted(first_cells(ENCODER, "Encoders")) == sorted(ENCODERS)
    assert sorted(first_cells(DATA, "Streams")) == sorted(STREAMS)
    assert first_cells(DATA, "Augmentation") == list(AUGMENTS), "the table says in which order they run"
    positions = [DATA.index(f"`{kind}`", DATA.index("`data.audio_augment`, in the order")) for kind in AUDIO_AUGMENTS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_source_is_in_the_table(prefix):
    table = DATA.split("## Formats")[1].split("A source is random access")[0]
    assert f"`{prefix}:" in table


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link
