"""Files that others find whole or not at all."""

import pytest

from mmjax.data.sources.home_cache import write_whole


def test_two_writers_of_one_process_number_do_not_meet(tmp_path):
    """As in containers that share a folder: one writes while the other does."""
    path = tmp_path / "cache" / "a.npy"

    def first(file):
        file.write(b"first")
        write_whole(path, lambda other: other.write(b"the other"))
        assert path.read_bytes() == b"the other"

    write_whole(path, first)
    assert path.read_bytes() == b"first" and list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_what_failed(tmp_path):
    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "a", fail)
    assert not list(tmp_path.iterdir())
