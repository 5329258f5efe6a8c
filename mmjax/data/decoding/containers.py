"""Frames of an mp4, mov, webm or mkv file by PyAV, decoding only from the key frame before each that is wanted."""

import io
from bisect import bisect_right
from collections.abc import Callable

from PIL import Image

from mmjax.data.optional import optional
from mmjax.data.unreadable import Unreadable

# The demuxer is named for each ending: left to guess, FFmpeg would also open playlists that name other files.
CONTAINERS = {"mp4": "mov", "m4v": "mov", "mov": "mov", "webm": "matroska", "mkv": "matroska"}
MOST_PIXELS = 2**24  # of a frame: 4K has 2^23


def container_frames(data: bytes, kind: str, choose: Callable[[int, int, int], list[int]]) -> list[Image.Image]:
    """The frames, in order of presentation, whose indices `choose(count, width, height)` gives; upright RGB pictures.

    Raises:
        Unreadable: there is no video in the file, or a wanted frame does not decode.
        UserError: PyAV is not installed.
    """
    av = optional("av", "video", "video")
    # Before version 19 PyAV refuses files whose metadata is not UTF-8 unless told not to; since, it cannot be told.
    lenient = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    with av.open(io.BytesIO(data), format=CONTAINERS[kind], **lenient) as container:
        if not container.streams.video:
            raise Unreadable("video has no frames", "no video stream")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # the reading threads are parallel already
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # frames may grow within a stream
        packets = [packet for packet in container.demux(stream) if packet.size and packet.pts is not None]
        times = sorted({packet.pts for packet in packets if not packet.is_discard})  # less what was cut off in editing
        chosen = choose(len(times), stream.codec_context.width, stream.codec_context.height)
        frames = _decode(stream.codec_context, packets, sorted({times[index] for index in chosen}))
    return [frames[times[index]] for index in chosen]


def _decode(decoder, packets, wanted) -> dict[int, Image.Image]:
    """Presentation time -> picture for the `wanted` times, which rise."""
    keys = [(packet.pts, place) for place, packet in enumerate(packets) if packet.is_keyframe]
    keys.sort()
    found, place = {}, 0
    for time in wanted:
        # A key frame that is shown no later: frames shown before their key frame need the one before it.
        before = bisect_right(keys, (time, len(packets)))
        start = keys[before - 1][1] if before else 0
        if start > place:
            decoder.flush_buffers()
            place = start
        while time not in found:
            if place > len(packets):
                raise Unreadable("video does not decode", f"no frame at {time}")
            for frame in decoder.decode(packets[place] if place < len(packets) else None):
                # Some packets hold no picture of their own (VP8's alternate references): the next one stands for them.
                if due := [t for t in wanted if t <= frame.pts and t not in found]:
                    found |= dict.fromkeys(due, _upright(frame))
            place += 1
    return found


def _upright(frame) -> Image.Image:
    """The picture turned as the file's display matrix says; phones film sideways."""
    image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation % 360 else image
