"""Frames of files whose every frame tells its number, and the laws by which frames are chosen."""

import io
import struct
import sys
from unittest import mock

import av
import numpy as np
import pytest
from PIL import Image

from mmjax.data.decoding.containers import MOST_PIXELS
from mmjax.data.decoding.video import decode_frames, frame_indices
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

FRAMES = 40


def film(codec="libx264", kind="mp4", picture=None, frames=FRAMES, size=(64, 48), **options):
    """A file whose frame n is grey 6 n, with a key frame every 12."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size, stream.options = "yuv420p", 12, options
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), number * 6, np.uint8) if picture is None else picture
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def animation(kind, frames=FRAMES):
    out = io.BytesIO()
    pictures = [Image.new("RGB", (16, 12), (6 * n, 6 * n, 6 * n)) for n in range(frames)]
    lossless = {"lossless": True} if kind == "webp" else {}
    pictures[0].save(out, kind, save_all=True, append_images=pictures[1:], **lossless)
    return out.getvalue()


def array(values):
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def numbers(frames):
    """The frame numbers that pictures show, to a third of a frame."""
    grey = np.array([np.asarray(frame).mean() for frame in frames]) / 6
    assert np.abs(grey - grey.round()).max() < 0.34
    return grey.round().astype(int).tolist()


MADE = {
    "h264": ("mp4", lambda: film(bf="3")),
    "open groups of pictures": ("mp4", lambda: film(**{"x264-params": "open-gop=1:bframes=3:keyint=12"})),
    "matroska": ("mkv", lambda: film(kind="matroska")),
    "vp8": ("webm", lambda: film("libvpx", "webm")),
    "vp9": ("webm", lambda: film("libvpx-vp9", "webm")),
    "gif": ("gif", lambda: animation("gif")),
    "webp": ("noto.webp", lambda: animation("webp")),
    "npy": ("npy", lambda: array(np.full((FRAMES, 4, 6, 3), 6 * np.arange(FRAMES)[:, None, None, None], np.uint8))),
}


@pytest.mark.parametrize("name", MADE)
def test_every_file_gives_the_frames_asked_for(name):
    ending, make = MADE[name]
    data = make()
    for wanted in ([0, 1, 2], [5, FRAMES - 1, 20, 5], [11, 12, 13, 24, 25], list(range(FRAMES))):
        pick = mock.Mock(return_value=wanted)
        frames = decode_frames(data, ending, pick)
        pick.assert_called_once_with(FRAMES)
        assert numbers(frames) == wanted
        assert {frame.mode for frame in frames} == {"RGB"}


def test_only_what_is_needed_is_decoded(monkeypatch):
    """A frame near the end costs its group of pictures, not the whole film."""
    decoded = []
    decode = sys.modules["mmjax.data.decoding.containers"]._decode

    class Counting:
        def __init__(self, decoder):
            self.decoder, self.flush_buffers = decoder, decoder.flush_buffers

        def decode(self, packet):
            decoded.append(packet)
            return self.decoder.decode(packet)

    monkeypatch.setattr("mmjax.data.decoding.containers._decode", lambda d, *rest: decode(Counting(d), *rest))
    assert numbers(decode_frames(film(frames=41), "mp4", lambda count: [38])) == [38]
    assert len(decoded) <= 12


def test_a_film_made_sideways_is_turned_upright():
    """A display matrix for a quarter turn clockwise: the left half of what is stored is the upper half."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32] = 255
    data = film(picture=pixels, frames=2, size=(64, 32))
    place = data.index(b"tkhd") + 44
    turn = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 32 << 16, 0, 1 << 30)
    frame = decode_frames(data[:place] + turn + data[place + 36 :], "mp4", lambda count: [0])[0]
    assert frame.size == (32, 64)
    assert np.asarray(frame)[:30].min() > 240
    assert np.asarray(frame)[34:].max() < 15


def test_frames_cut_off_by_an_edit_list_are_not_counted():
    """A film cut without encoding it anew keeps the frames since the last key frame, and says where it begins."""
    data = film(bf="3")
    place = data.index(b"elst") + 16
    begin = struct.unpack(">i", data[place : place + 4])[0] + 5 * 512  # a frame lasts 512 units
    pick = mock.Mock(return_value=[0, 10])
    frames = decode_frames(data[:place] + struct.pack(">i", begin) + data[place + 4 :], "mp4", pick)
    pick.assert_called_once_with(FRAMES - 5)
    assert numbers(frames) == [5, 15]


def test_alpha_lands_on_white():
    out = io.BytesIO()
    pictures = [Image.new("RGBA", (8, 8), (200, 0, 0, alpha)) for alpha in (0, 255)]
    pictures[0].save(out, "webp", save_all=True, append_images=pictures[1:], lossless=True)
    frames = decode_frames(out.getvalue(), "webp", lambda count: [0, 1])
    assert np.asarray(frames[0]).min() == 255
    assert np.asarray(frames[1])[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("ending", "data", "reason"),
    [
        ("mp4", b"", "does not decode"),
        ("mp4", b"nothing of the kind", "does not decode"),
        ("webm", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "does not decode"),
        ("mp4", film()[:1500], "no frames"),
        ("gif", b"GIF89a nonsense", "does not decode"),
        ("gif", animation("webp"), "does not decode"),
        ("webp", animation("webp")[:100], "does not decode"),
        ("avi", b"RIFF", "unknown kind"),
        ("npy", array(np.zeros((2, 4, 4, 3), np.float32)), "no .F,H,W,3. uint8"),
        ("npy", array(np.zeros((4, 4, 3), np.uint8)), "no .F,H,W,3. uint8"),
        ("npy", array(np.zeros((0, 4, 4, 3), np.uint8)), "no frames"),
        ("npy", array(np.zeros((2, 4, 4, 3), np.uint8))[:-1], "cut off"),
        ("npy", array(np.zeros((2**16 + 1, 1, 1, 3), np.uint8)), "too many frames"),
        ("npy", array(np.zeros((1, 1, MOST_PIXELS + 1, 3), np.uint8)), "too many pixels"),
        ("npy", array(np.array([{"a": 1}], dtype=object)), "no .F,H,W,3. uint8"),
    ],
)
def test_broken_videos_have_a_reason(ending, data, reason):
    with pytest.raises(Unreadable, match=reason):
        decode_frames(data, ending, lambda count: [0])


@pytest.mark.parametrize("shape", [(9, 4, 4, 3), (2**15, 2**12, 2**12, 3), (2**40, 2**20, 2**20, 3)])
def test_a_false_header_allocates_nothing(shape):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with pytest.raises(Unreadable, match="cut off"):
        decode_frames(out.getvalue() + bytes(100), "npy", lambda count: [0])


def test_animations_are_painted_only_so_far(monkeypatch):
    monkeypatch.setattr("mmjax.data.decoding.video.MOST_PAINTED", 16 * 12 * 10)
    data = animation("gif")
    assert numbers(decode_frames(data, "gif", lambda count: [9])) == [9]
    with pytest.raises(Unreadable, match="too many pixels"):
        decode_frames(data, "gif", lambda count: [10])


def test_frames_that_grow_are_refused(monkeypatch):
    monkeypatch.setattr("mmjax.data.decoding.containers.MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(Unreadable, match="does not decode"):
        decode_frames(film(), "mp4", lambda count: [0])


def test_bytes_at_random_never_do_more_than_fail():
    rng = np.random.default_rng(0)
    files = [(ending, make()) for ending, make in MADE.values()]
    failed = 0
    for number in range(320):
        ending, original = files[number % len(files)]
        data = bytearray(original)
        for place in rng.integers(0, 200 if number % 16 < 8 else len(data), 3):
            data[place] = rng.integers(256)
        try:
            frames = decode_frames(bytes(data), ending, lambda count: frame_indices(count, 3, "uniform"))
            assert len(frames) == 3
        except Unreadable as fault:
            failed += 1
            assert fault.reason.startswith("video ")
    assert 0 < failed < 320


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'mmjax\[video\]'"):
        decode_frames(b"", "mp4", lambda count: [0])


@pytest.mark.parametrize(
    ("count", "frames", "expected"),
    [(10, 5, [1, 3, 5, 7, 9]), (8, 3, [1, 4, 6]), (5, 1, [2]), (3, 3, [0, 1, 2]), (2, 4, [0, 0, 1, 1]), (1, 2, [0, 0])],
)
def test_uniform_takes_the_middles_of_segments(count, frames, expected):
    assert frame_indices(count, frames, "uniform").tolist() == expected


def draws(count, frames, how, number=20000):
    rng = numpy_generator(0, "test")
    return np.array([frame_indices(count, frames, how, rng) for _ in range(number)])


def test_random_draws_one_of_each_segment():
    drawn = draws(12, 4, "random", 6000)
    for segment in range(4):
        values, counts = np.unique(drawn[:, segment], return_counts=True)
        assert values.tolist() == [3 * segment, 3 * segment + 1, 3 * segment + 2]
        assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000 * 2 / 3)


@pytest.mark.parametrize(
    ("how", "count", "frames", "stride"),
    [("slow", 72, 8, 9), ("fast", 72, 8, 1), ("fast", 320, 10, 4), ("clip", 72, 8, 2), ("clip:4", 72, 8, 4),
     ("clip", 9, 8, 1), ("clip:100", 50, 8, 7)],
)  # fmt: skip
def test_windows_begin_everywhere_alike(how, count, frames, stride):
    drawn = draws(count, frames, how, 4000)
    assert (np.diff(drawn, axis=1) == stride).all()
    starts = count - stride * (frames - 1)
    assert drawn[:, 0].min() == 0
    assert drawn[:, -1].max() == count - 1
    counts = np.bincount(drawn[:, 0], minlength=starts)
    assert len(counts) == starts
    assert np.abs(counts - 4000 / starts).max() < 5 * np.sqrt(4000 / starts)


@pytest.mark.parametrize("how", ["slow", "fast", "clip", "random"])
def test_a_short_video_repeats_frames_in_order(how):
    assert draws(2, 4, how, 3)[0].tolist() == [0, 0, 1, 1]


def test_two_clips_are_cvrls_pair():
    """Distance t of T places: mean T / 3, P(t < T / 4) = 7 / 16, P(t > 3 T / 4) = 1 / 16; the first start is uniform
    in what t leaves (Qian et al. 2021, arXiv 2008.03800)."""
    drawn = draws(1000, 8, "clip", 40000)[:, 0].reshape(-1, 2)
    places = 1000 - 14
    distance, first = np.abs(drawn[:, 0] - drawn[:, 1]) / places, drawn.min(1) / places
    assert distance.mean() == pytest.approx(1 / 3, abs=5 * np.sqrt(1 / 18 / 20000))
    assert (distance < 1 / 4).mean() == pytest.approx(7 / 16, abs=5 * 0.0035)
    assert (distance > 3 / 4).mean() == pytest.approx(1 / 16, abs=5 * 0.0017)
    share = first / np.maximum(1 - distance, 1e-9)
    assert share.mean() == pytest.approx(1 / 2, abs=5 * np.sqrt(1 / 12 / 20000) + 1 / places)
    assert abs(np.corrcoef(share, distance)[0, 1]) < 5 / np.sqrt(20000)


@pytest.mark.parametrize("how", ["sometimes", "uniform:2", "clip:0", "clip:x"])
def test_unknown_laws(how):
    with pytest.raises(UserError, match=how):
        frame_indices(10, 2, how)
