"""Evaluation rows: everything a stream takes from a source once, in order, on any number of processes."""

import json

import numpy as np
import pytest
from shards import picture, settings, write_tar, write_tokenizer

from mmjax import config as config_lib
from mmjax.data.rows import list_rows, row_batches
from mmjax.data.sources import open_source
from mmjax.data.streams import make_stream
from mmjax.data.streams.members import MemberRow
from mmjax.data.streams.text import CaptionRow
from mmjax.data.unreadable import UnreadableCount
from mmjax.errors import UserError


@pytest.fixture
def data(tmp_path):
    """Five records with pictures a and b (record 3 lacks b, record 1's b is broken) and two captions each."""
    members = []
    for n in range(5):
        members.append((f"{n}.a.png", picture(n)))
        if n != 3:
            members.append((f"{n}.b.png", b"broken" if n == 1 else picture(n + 50)))
        captions = ["a cat", f"{'red' if n % 2 else 'blue'} dog"]
        members.append((f"{n}.json", json.dumps({"captions": captions if n != 2 else None}).encode()))
    return settings(write_tar(tmp_path / "a.tar", members), write_tokenizer(tmp_path / "t.json"), context=5)


def listed(stream, limit=1.0):
    count = UnreadableCount(limit)
    return list_rows(stream, open_source(stream.data.source), count), count


def batches(stream, rows, process=(0, 1), limit=1.0):
    count = UnreadableCount(limit)
    source = open_source(stream.data.source)
    return list(row_batches(stream, source, rows, 4, process, unreadable=count)), count


def test_rows_in_order(data):
    image, text = make_stream(data, "image"), make_stream(data, "text")
    rows, _ = listed(image.narrowed(keys=("a.png",)))
    assert rows == [MemberRow(n, "a.png") for n in range(5)]
    assert len(listed(image)[0]) == 9
    rows, count = listed(text.narrowed(captions="{captions:one}"))
    assert rows[:3] == [CaptionRow(0, "a cat"), CaptionRow(0, "blue dog"), CaptionRow(1, "a cat")]
    assert [row.record for row in rows] == [0, 0, 1, 1, 3, 3, 4, 4]
    assert count.reasons == {"no caption field captions": 1}
    assert count.rows == 5
    data.streams = {"text": config_lib.stream("text", captions=(("{captions}", 1.0),)).to_dict()}
    rows, count = listed(make_stream(data, "text"))
    assert [row.text for row in rows[:2]] == ["a cat, blue dog", "a cat, red dog"] and not count.reasons


@pytest.mark.parametrize("threads", [0, 2])
def test_pictures(data, threads):
    data.threads = threads
    image = make_stream(data, "image")
    found, count = batches(image, listed(image)[0])
    assert [batch["image"].shape for batch in found] == [(4, 8, 8, 3)] * 3
    ids, valid = (np.concatenate([batch[name] for batch in found]) for name in ("id", "valid"))
    np.testing.assert_array_equal(ids[:9], [0, 0, 1, 1, 2, 2, 3, 4, 4])
    assert count.reasons == {"image does not decode": 1}, count.examples
    assert "b.png" in count.examples[0].detail and count.rows == 12
    np.testing.assert_array_equal(valid, [1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0])
    red = np.concatenate([batch["image"] for batch in found])[:, 4, 4, 0]
    np.testing.assert_array_equal(red[valid], [0, 50, 1, 2, 52, 3, 4, 54])


def test_too_many_unreadable_pictures_stop_the_evaluation(data):
    image = make_stream(data, "image")
    with pytest.raises(UserError, match=r"a\.tar \[1\]"):
        batches(image, listed(image)[0], limit=0.0)


def test_captions(data):
    rows = [CaptionRow(0, "a cat"), CaptionRow(7, ""), CaptionRow(9, "red dog")]
    count = UnreadableCount(1.0)
    first, second = row_batches(make_stream(data, "text"), None, rows, 2, unreadable=count)
    np.testing.assert_array_equal(first["text"], [[1, 4, 10, 2, 0], [0] * 5])
    np.testing.assert_array_equal(first["valid"], [True, False])
    np.testing.assert_array_equal(second["id"], [9, 0])
    np.testing.assert_array_equal(second["valid"], [True, False])
    np.testing.assert_array_equal(second["text_mask"][0], [1, 1, 1, 1, 0])
    assert count.reasons == {"caption has no token": 1} and "row 7" in str(count.examples[0])


def test_further_views_go_by_their_own_name(data):
    data.streams = {"image_2": config_lib.stream("image", image_keys=("b.png",), size=4).to_dict()}
    view = make_stream(data, "image_2")
    found, _ = batches(view, listed(view)[0])
    assert found[0]["image_2"].shape == (4, 4, 4, 3) and "image" not in found[0]
    np.testing.assert_array_equal(found[0]["image_2"][:, 0, 0, 0], [50, 0, 52, 54])


def test_processes_share_batches(data):
    image = make_stream(data, "image").narrowed(keys=("a.png",))
    text = make_stream(data, "text")
    captions = [CaptionRow(n, "a cat") for n in range(5)]

    def both(process):
        return list(zip(batches(image, listed(image)[0], process)[0], batches(text, captions, process)[0], strict=True))

    whole, parts = both((0, 1)), [both((index, 2)) for index in range(2)]
    for number, pair in enumerate(whole):
        for kind, batch in enumerate(pair):
            for name, array in batch.items():
                joined = np.concatenate([part[number][kind][name] for part in parts])
                np.testing.assert_array_equal(joined, array)
