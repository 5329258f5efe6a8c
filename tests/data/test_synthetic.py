"""Made-up scenes: what captions say is what is seen, heard and moving; splits keep apart what they promise."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mmjax.data.sources import open_source
from mmjax.data.sources.synthetic import MEMBERS, SyntheticSource
from mmjax.data.sources.synthetic_pictures import INSIDE, coverage, film, paint, path
from mmjax.data.sources.synthetic_scenes import AXES, COLOURS, RELATIONS, REVERSE, SHAPES, SPLITS, Scene, Thing
from mmjax.data.sources.synthetic_sounds import C4, HARMONICS, RATE, SEMITONES, play, tone
from mmjax.errors import UserError


def picture_of(raw):
    return np.asarray(Image.open(io.BytesIO(raw["png"])))


def clip_of(raw):
    return np.load(io.BytesIO(raw["npy"]), allow_pickle=False)


def painted(picture):
    """(S,S) bool: where the picture differs from its median colour, which is the background."""
    return (picture != np.median(picture, (0, 1))).any(-1)


def words(split, count, **settings):
    source = SyntheticSource(",".join([split, *(f"{k}={v}" for k, v in settings.items())]))
    return [source[i]["json"] for i in range(count)]


def test_a_record_holds_what_was_asked_for():
    source = open_source("synthetic:test,count=20,members=wav+png+npy,side=32,frames=5,seed=3")
    assert len(source) == 20 and source.members(4) == ("json", "wav", "png", "npy")
    raw = source[4]
    assert tuple(raw) == ("__key__", "__url__", *source.members(4)) and raw["__key__"] == "test-4"
    assert picture_of(raw).shape == (32, 32, 3) and clip_of(raw).shape == (5, 32, 32, 3)
    assert source.nbytes == pytest.approx(20 * sum(len(raw[member]) for member in MEMBERS), rel=0.05)
    assert source.member_counts() == {"json, wav, png, npy": 20} and source.url(0) == source.paths[0]


def test_the_same_spec_gives_the_same_bytes_and_others_do_not():
    spec = "synthetic:train,members=png+wav+npy"
    assert [open_source(spec)[i] for i in range(5)] == [open_source(spec)[i] for i in range(5)]
    pngs = {open_source(f"synthetic:{s}")[0]["png"] for s in ("train", "test", "train,seed=1", "compositions")}
    assert len(pngs) == 4
    prints = {open_source(s).fingerprint() for s in (spec, spec + ",count=9", spec + ",side=32", "synthetic:test")}
    assert len(prints) == 4
    assert open_source("synthetic:split=train").fingerprint() == open_source("synthetic:").fingerprint()


def test_boxes_enclose_what_is_painted():
    for spec in ("train", "train,things=2", "train,side=16", "train,things=2,side=33"):
        source = SyntheticSource(spec)
        for i in range(40):
            raw = source[i]
            seen, rest = painted(picture_of(raw)), painted(picture_of(raw))
            for left, top, right, bottom in raw["json"]["boxes"]:
                x0, y0, x1, y1 = (round(edge * source.side) for edge in (left, top, right, bottom))
                assert 0 <= x0 < x1 <= source.side and 0 <= y0 < y1 <= source.side
                assert seen[y0:y1, x0:x1].any()
                rest[y0:y1, x0:x1] = False
            assert not rest.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_differ_and_fill_their_square(shape):
    cover = coverage(shape, 16)
    assert cover.shape == (33, 33) and cover.dtype == np.float32 and cover.min() >= 0 and cover.max() == 1
    assert 0.15 < cover.mean() < 0.8
    np.testing.assert_allclose(cover, cover[:, ::-1], atol=0.07, err_msg="symmetrical about the upright")
    for other in set(INSIDE) - {shape}:
        assert np.abs(cover - coverage(other, 16)).mean() > 0.05


def test_areas_of_shapes_by_hand():
    areas = {"circle": np.pi * 0.95**2, "square": 1.6**2, "ring": np.pi * (0.95**2 - 0.45**2), "diamond": 4 / 3}
    areas["cross"] = 2 * 2 * 0.6 - 0.6**2
    for shape, area in areas.items():
        assert coverage(shape, 40).mean() * 4 == pytest.approx(area, rel=0.01), shape


def test_colours_and_sizes_are_those_of_the_caption():
    thing = Thing("square", "green", "large", (10, 200, 30), 0.5, 0.25)
    picture = paint(Scene((thing,), {}, 230, "left"), 64)
    assert thing.name == "a large green square"
    assert picture[32, 16].tolist() == [10, 200, 30] and picture[32, 48].tolist() == [230, 230, 230]
    source = SyntheticSource("train")
    for i in range(60):
        scene, raw = source.scene(i), source[i]
        (thing,) = scene.things
        assert np.abs(np.array(thing.rgb) - COLOURS[thing.colour]).max() <= 20
        near = min(COLOURS, key=lambda name: np.abs(np.array(thing.rgb) - COLOURS[name]).sum())
        assert near == raw["json"]["colour"]
        wide = raw["json"]["boxes"][0][2] - raw["json"]["boxes"][0][0]
        assert (wide > 0.25) == (raw["json"]["size"] == "large")


def test_places_are_those_of_the_caption():
    for fields in words("train", 60):
        left, top, right, bottom = fields["boxes"][0]
        x, y = (left + right) / 2, (top + bottom) / 2
        row = "top" if y < 0.37 else "bottom" if y > 0.63 else ""
        column = "left" if x < 0.37 else "right" if x > 0.63 else ""
        assert fields["place"] == (f"{row} {column}".strip() or "middle")
        assert fields["caption"] == f"a {fields['size']} {fields['colour']} {fields['shape']} at the {fields['place']}"


def test_two_things_stand_as_the_caption_says():
    for fields in words("test", 80, things=2):
        (x, y), (x_2, y_2) = (((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in fields["boxes"])
        seen = {"left of": x_2 - x, "right of": x - x_2, "above": y_2 - y, "below": y - y_2}
        assert max(seen, key=seen.get) == fields["relation"]
        first, second = fields["caption"].split(f" {fields['relation']} ")
        assert fields["swapped"] == f"{second} {fields['relation']} {first}"
        assert fields["shape"] != fields["shape_2"] and fields["colour"] != fields["colour_2"]
    assert {fields["relation"] for fields in words("test", 80, things=2)} == set(RELATIONS)


def middle(picture):
    """(row, column) of the middle of what is painted on a torus, as shares of the side."""
    seen = painted(picture)
    turns = np.exp(2j * np.pi * (np.arange(len(seen)) + 0.5) / len(seen))
    return tuple(np.angle((seen.sum(axis) * turns).sum()) / (2 * np.pi) % 1 for axis in (1, 0))


def moves(clip):
    """(frames - 1, 2): by how much the middle moves down and to the right from frame to frame, from -1/2 to 1/2."""
    return (np.diff([middle(frame) for frame in clip], axis=0) + 0.5) % 1 - 0.5


def test_clips_move_as_the_caption_says():
    source = SyntheticSource("train,members=npy+png,side=96,frames=8")
    directions = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
    seen = Counter()
    for i in range(60):
        raw = source[i]
        motion, steps = raw["json"]["motion"], moves(clip_of(raw))
        seen[motion] += 1
        if motion in directions:
            np.testing.assert_allclose(steps, np.tile(np.array(directions[motion]) * 0.4 / 7, (7, 1)), atol=0.02)
        else:
            # Every turn from one step to the next, as seen with rows downwards: to the right where it is clockwise.
            turns = steps[:-1, 1] * steps[1:, 0] - steps[:-1, 0] * steps[1:, 1]
            assert (turns > 0).all() if motion == "clockwise" else (turns < 0).all()
        assert raw["json"]["moving"].endswith(f"moving {motion}")
        assert raw["json"]["reversed"] == raw["json"]["moving"].replace(motion, REVERSE[motion])
    assert set(seen) == set(REVERSE)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(("side", "frames"), [(64, 8), (32, 6), (50, 7)])
def test_a_motion_is_its_reverse_played_backwards(axis, side, frames):
    """So that a model which averages frames, whatever it knows of each, cannot tell the two apart."""
    thing = Thing("heart", "red", "large", (200, 30, 30), 0.3, 0.6)
    picture = paint(Scene((thing,), {}, 220, ""), side)
    one, other = (film(Scene((thing,), {}, 220, motion), picture, frames) for motion in axis)
    np.testing.assert_array_equal(one, other[::-1])
    assert len({frame.tobytes() for frame in one}) == frames


def test_the_picture_is_the_middle_of_the_path():
    source = SyntheticSource("test,members=npy+png,side=96,frames=9")
    straight = [raw for raw in map(source.__getitem__, range(30)) if "clockwise" not in raw["json"]["motion"]]
    for raw in straight:
        np.testing.assert_array_equal(clip_of(raw)[4], picture_of(raw))
    assert len(straight) > 10


def test_a_circle_is_round_and_begins_at_its_top():
    corners = np.array(path("clockwise", 4, 1000))
    np.testing.assert_array_equal(corners, [(-141, 141), (141, 141), (141, -141), (-141, -141)])
    np.testing.assert_allclose(np.hypot(*np.array(path("clockwise", 32, 1000)).T), 200, atol=1)
    assert path("down", 5, 100) == [(-20, 0), (-10, 0), (0, 0), (10, 0), (20, 0)]
    assert path("left", 3, 100) == [(0, 20), (0, 0), (0, -20)]


def test_training_never_shows_what_is_held_out():
    for split in ("train", "test"):
        for fields in words(split, 400):
            shape = SHAPES.index(fields["shape"])
            assert shape != list(COLOURS).index(fields["colour"])
            assert fields["motion"] not in AXES[shape % 3]
    for fields in words("train", 200, things=2):
        for n in ("", "_2"):
            assert SHAPES.index(fields["shape" + n]) != list(COLOURS).index(fields["colour" + n])
    for fields in words("compositions", 100) + words("compositions", 50, things=2):
        assert SHAPES.index(fields["shape"]) == list(COLOURS).index(fields["colour"])
    for fields in words("motions", 100):
        assert fields["motion"] in AXES[SHAPES.index(fields["shape"]) % 3]
        assert SHAPES.index(fields["shape"]) != list(COLOURS).index(fields["colour"])


def test_nothing_but_the_order_of_frames_tells_the_direction():
    """Of every shape, colour, size and place, either direction of an axis is as frequent: at most 4 standard errors."""
    scenes = words("train", 4000, side=16)
    for field in ("shape", "colour", "size", "place"):
        counts = Counter((fields[field], fields["motion"]) for fields in scenes)
        for value in {value for value, _ in counts}:
            for one, other in AXES:
                n, m = counts[value, one], counts[value, other]
                assert abs(n - m) <= 4 * max(1, n + m) ** 0.5, (value, one, n, m)


def samples_of(data):
    assert data[:4] == b"RIFF" and data[8:16] == b"WAVEfmt " and len(data) == int.from_bytes(data[4:8], "little") + 8
    assert int.from_bytes(data[24:28], "little") == RATE
    return np.frombuffer(data[44:], "<i2") / 32767


@pytest.mark.parametrize("colour", COLOURS)
def test_the_colour_is_the_pitch_and_the_shape_the_harmonics(colour):
    for shape in SHAPES:
        wave = tone(shape, colour)[: int(0.4 * RATE)]
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
        pitch = C4 * 2 ** (SEMITONES[colour] / 12)
        heard = [spectrum[int((n + 1) * pitch * 0.4) - 3 :][:8].max() for n in range(8)]
        expected = np.abs(np.pad(np.array(HARMONICS[shape], float), (0, 8 - len(HARMONICS[shape]))))
        np.testing.assert_allclose(heard / np.max(heard), expected / expected.max(), atol=0.15)
    assert len({tone(shape, colour).tobytes() for shape in SHAPES}) == 8


def test_wav_can_be_read_by_others():
    soundfile = pytest.importorskip("soundfile")
    raw = SyntheticSource("train,members=wav,things=2")[5]
    wave, rate = soundfile.read(io.BytesIO(raw["wav"]))
    assert rate == RATE and wave.shape == (RATE,) and 0.3 < np.abs(wave).max() < 0.75
    np.testing.assert_allclose(wave, samples_of(raw["wav"]), atol=1e-4)


def test_things_sound_in_the_order_of_the_caption_and_small_ones_are_softer():
    large = Thing("circle", "red", "large", (0, 0, 0), 0.5, 0.25)
    small = Thing("star", "blue", "small", (0, 0, 0), 0.5, 0.75)
    wave = samples_of(play(Scene((large, small), {}, 255, "")))
    np.testing.assert_allclose(wave[:8000], 0.7 * tone("circle", "red"), atol=1e-4)
    np.testing.assert_allclose(wave[8000:], 0.35 * tone("star", "blue"), atol=1e-4)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("valid", "no split 'valid'"),
        ("train,colour=red", "no setting 'colour'"),
        ("train,members=png+mp4", "no member 'mp4'"),
        ("train,count=0", "count=0 is no number from 1"),
        ("train,side=-8", "side=-8 is no number from 16"),
        ("train,frames=1", "frames=1 is no number from 2"),
        ("train,things=3", "things=3 is no number from 1 to 2"),
        ("train,things=2,members=npy", "scenes of two things do not move"),
        ("motions,things=2", "scenes of two things do not move"),
    ],
)
def test_settings_that_cannot_be(spec, said):
    with pytest.raises(UserError) as error:
        open_source(f"synthetic:{spec}")
    assert said in str(error.value) and error.value.where == f"synthetic:{spec}"


def test_every_split_and_member_opens():
    for split in SPLITS:
        for member in MEMBERS:
            assert len(open_source(f"synthetic:{split},members={member},count=3")[2]) == 4
    with pytest.raises(UserError, match="no vectors"):
        open_source("synthetic:").width("vector")
