"""Evaluation rows: every picture and caption once, in order, on any number of processes."""

import json

import numpy as np
import pytest
from shards import picture, settings, write_tar, write_tokenizer

from mmjax.data.rows import CaptionRow, PictureRow, caption_batches, caption_rows, picture_batches, picture_rows
from mmjax.data.sources import open_source
from mmjax.data.tokenizer import Tokenizer
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
    return settings(write_tar(tmp_path / "a.tar", members), write_tokenizer(tmp_path / "t.json"))


def test_rows_in_order(data):
    source = open_source(data.source)
    assert picture_rows(source, ("a.png",)) == [PictureRow(n, "a.png") for n in range(5)]
    assert len(picture_rows(source)) == 9
    count = UnreadableCount(1.0)
    rows = caption_rows(source, "{captions:one}", unreadable=count)
    assert rows[:3] == [CaptionRow(0, "a cat"), CaptionRow(0, "blue dog"), CaptionRow(1, "a cat")]
    assert [row.record for row in rows] == [0, 0, 1, 1, 3, 3, 4, 4]
    assert count.reasons == {"no caption field captions": 1}
    assert count.rows == 5


@pytest.mark.parametrize("threads", [0, 2])
def test_picture_batches(data, threads):
    data.threads = threads
    source, count = open_source(data.source), UnreadableCount(1.0)
    batches = list(picture_batches(source, picture_rows(source), data, 4, unreadable=count))
    assert [batch["image"].shape for batch in batches] == [(4, 8, 8, 3)] * 3
    ids, valid = (np.concatenate([batch[name] for batch in batches]) for name in ("id", "valid"))
    np.testing.assert_array_equal(ids[:9], [0, 0, 1, 1, 2, 2, 3, 4, 4])
    assert count.reasons == {"image does not decode": 1}, count.examples
    np.testing.assert_array_equal(valid, [1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0])
    red = np.concatenate([batch["image"] for batch in batches])[:, 4, 4, 0]
    np.testing.assert_array_equal(red[valid], [0, 50, 1, 2, 52, 3, 4, 54])


def test_too_many_unreadable_pictures_stop_the_evaluation(data):
    source = open_source(data.source)
    with pytest.raises(UserError, match=r"a\.tar \[1\]"):
        list(picture_batches(source, picture_rows(source), data, 4, unreadable=UnreadableCount(0.0)))


def test_caption_batches(data):
    tokenizer = Tokenizer(data.tokenizer, 5)
    rows = [CaptionRow(0, "a cat"), CaptionRow(7, ""), CaptionRow(9, "red dog")]
    first, second = caption_batches(tokenizer, rows, 2)
    np.testing.assert_array_equal(first["text"], [[1, 4, 10, 2, 0], [0] * 5])
    np.testing.assert_array_equal(first["valid"], [True, False])
    np.testing.assert_array_equal(second["id"], [9, 0])
    np.testing.assert_array_equal(second["valid"], [True, False])
    np.testing.assert_array_equal(second["text_mask"][0], [1, 1, 1, 1, 0])


def test_processes_share_batches(data):
    source = open_source(data.source)
    rows, tokenizer = picture_rows(source, ("a.png",)), Tokenizer(data.tokenizer, 5)
    captions = [CaptionRow(n, "a cat") for n in range(5)]

    def batches(process):
        pictures = picture_batches(source, rows, data, 4, process, unreadable=UnreadableCount(1.0))
        return list(zip(pictures, caption_batches(tokenizer, captions, 4, process), strict=True))

    whole, parts = batches((0, 1)), [batches((index, 2)) for index in range(2)]
    for number, pair in enumerate(whole):
        for kind, batch in enumerate(pair):
            for name, array in batch.items():
                joined = np.concatenate([part[number][kind][name] for part in parts])
                np.testing.assert_array_equal(joined, array)
