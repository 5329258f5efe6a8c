"""Streams of sounds, clips and series: rows worked out by hand, shared members, languages, what lacks or is broken."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from media import frames, npy, ramp, webp
from shards import assert_batches_equal, picture, settings, write_tar, write_tokenizer

from mmjax import config as config_lib
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.rows import list_rows, row_batches
from mmjax.data.shapes import batch_shapes
from mmjax.data.sources import open_source
from mmjax.data.sources.array_records import write_array_record
from mmjax.data.streams import check_streams, make_stream
from mmjax.data.unreadable import UnreadableCount
from mmjax.errors import UserError

COUNT = 12
RATE = 8000
KINDS = ("image", "text", "audio", "video", "series")


def sections(**changes):
    """The sections of `config.data` that these kinds read, and a data set of few samples."""
    values = {
        "audio_keys": (),
        "video_keys": ("clip.npy", "webp"),
        "series_keys": ("imu.npy",),
        "audio": SimpleNamespace(sample_rate=RATE, seconds=0.005, crop="random"),
        "video": SimpleNamespace(frames=3, sampling="random"),
        "series": SimpleNamespace(steps=5, channels=2, crop="random"),
        "audio_augment": {},
        "augment": {},
        "max_unreadable": 1.0,
    }
    return values | changes


def members():
    """Record n: a picture and a text; a sound of n + 20 samples, a clip of n + 2 frames, a series of n + 1 steps."""
    found = []
    for n in range(COUNT):
        found.append((f"{n:02d}.png", picture(n)))
        found.append((f"{n:02d}.txt", b"a cat"))
        found.append((f"{n:02d}.wav", ramp(10 * n, n + 20)))
        found.append((f"{n:02d}.clip.npy", npy(frames(n, n + 2))))
        found.append((f"{n:02d}.imu.npy", npy(np.stack([np.arange(n + 1) + 100 * n, -np.arange(n + 1)], 1))))
    return found


def bound(tmp_path, found, **changes):
    return settings(write_tar(tmp_path / "a.tar", found), write_tokenizer(tmp_path / "t.json"), **sections(**changes))


def entry(kind, **options):
    return config_lib.stream(kind, **options).to_dict()


@pytest.fixture
def data(tmp_path):
    return bound(tmp_path, members())


def evaluated(data, name, source=None, **asked):
    """The rows of one stream and their arrays, joined and without padding."""
    stream, count = make_stream(data, name).narrowed(**asked), UnreadableCount(1.0)
    opened = open_source(source or data.source)
    rows = list_rows(stream, opened, count)
    batches = list(row_batches(stream, opened, rows, 4, unreadable=count))
    whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return rows, {name: array[whole["valid"]] for name, array in whole.items()}, count


def test_shapes_are_those_of_the_batch(data):
    batch = TrainPipeline(data, KINDS, 0, 4).batch(0)
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        k: (shape, np.dtype(dtype)) for k, (shape, dtype) in batch_shapes(data, KINDS, 4).items()
    }
    assert batch["audio"].shape == (4, 40) and batch["video"].shape == (4, 3, 8, 8, 3)
    assert batch["series"].shape == (4, 5, 2) and batch["series_mask"].shape == (4, 5)


def test_what_a_batch_holds(data):
    pipeline = TrainPipeline(data, KINDS, 0, COUNT)
    starts, times = set(), set()
    for step in range(8):
        batch = pipeline.batch(step)
        assert pipeline.unreadable.reasons.total() == 0
        for row, n in enumerate(batch["id"].tolist()):
            wave, steps = batch["audio"][row], n + 20
            np.testing.assert_array_equal(batch["audio_mask"][row], np.arange(40) < steps)
            np.testing.assert_allclose(wave[:steps], (10 * n + 1 + np.arange(steps)) / 1000, atol=1e-4)
            assert not wave[steps:].any()
            assert (batch["video"][row, :, :, :, 0] == n).all()
            times.add(tuple(batch["video"][row, :, 0, 0, 1].tolist()))
            real = min(n + 1, 5)
            np.testing.assert_array_equal(batch["series_mask"][row], np.arange(5) < real)
            start = int(batch["series"][row, 0, 0]) - 100 * n
            assert 0 <= start <= max(0, n + 1 - 5)
            np.testing.assert_array_equal(batch["series"][row, :real, 0], 100 * n + start + np.arange(real))
            np.testing.assert_array_equal(batch["series"][row, :real, 1], -(start + np.arange(real)))
            starts.add(start)
    assert starts == set(range(8)), "every part of the longest series comes up"
    assert all(list(t) == sorted(t) for t in times) and len(times) > 20, "frames differ from step to step"


def test_long_sounds_are_cut_anywhere_in_training_and_in_the_middle_in_evaluation(data):
    data.audio.seconds = 8 / RATE
    batches = [TrainPipeline(data, ("audio",), 0, COUNT).batch(step) for step in range(6)]
    first = {round(1000 * float(x)) - 10 * n for b in batches for x, n in zip(b["audio"][:, 0], b["id"], strict=True)}
    assert len(first) > 10 and min(first) >= 1 and all(batch["audio_mask"].all() for batch in batches)
    rows, once, _ = evaluated(data, "audio")
    assert [row.member for row in rows] == ["wav"] * COUNT
    middles = [(10 * n + 1 + (n + 12) // 2) / 1000 for n in range(COUNT)]
    np.testing.assert_allclose(once["audio"][:, 0], middles, atol=1e-4)
    data.audio.crop = "start"
    np.testing.assert_allclose(evaluated(data, "audio")[1]["audio"][:, 0], np.arange(COUNT) / 100 + 0.001, atol=1e-4)


def test_sounds_are_resampled(data):
    data.audio.sample_rate, data.audio.seconds = 2 * RATE, 0.005
    batch = evaluated(data, "audio")[1]
    assert batch["audio"].shape == (COUNT, 80)
    np.testing.assert_array_equal(batch["audio_mask"].sum(1), 2 * (np.arange(COUNT) + 20))


@pytest.mark.parametrize("name", ["audio", "video", "series", "image"])
def test_evaluation_is_the_same_every_time(data, name):
    data.series.steps, data.video.frames, data.audio.seconds = 3, 2, 0.001
    assert_batches_equal(evaluated(data, name)[1], evaluated(data, name)[1])


def test_frames_of_evaluation_are_evenly_spaced(data):
    batch = evaluated(data, "video")[1]
    times = [[(2 * k + 1) * (n + 2) // 6 for k in range(3)] for n in range(COUNT)]
    np.testing.assert_array_equal(batch["video"][:, :, 0, 0, 1], times)


def test_no_draw_depends_on_worker_process_or_chunk(data, monkeypatch):
    whole = TrainPipeline(data, KINDS, 1, 4).batch(5)
    parts = [TrainPipeline(data, KINDS, 1, 4, index, 2).batch(5) for index in range(2)]
    assert_batches_equal(whole, {name: np.concatenate([part[name] for part in parts]) for name in whole})
    monkeypatch.setattr("mmjax.data.pipeline.CHUNK_ROWS", 2)
    data.workers = 2
    batches = TrainPipeline(data, KINDS, 1, 4).iterate(5)
    assert_batches_equal(whole, next(batches))
    batches.close()
    alone = TrainPipeline(data, ("video",), 1, 4).batch(5)
    np.testing.assert_array_equal(alone["video"], whole["video"])


def test_a_clip_is_cropped_flipped_and_coloured_as_one(tmp_path):
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (20, 24, 3)).astype(np.uint8)
    found = [(f"{n}.clip.npy", npy(np.stack([still] * 6))) for n in range(4)]
    augment = {kind: config_lib.augment(kind).to_dict() for kind in ("crop", "affine", "flip", "color")}
    augment["crop"]["scale"] = (0.2, 0.9)
    pipeline = TrainPipeline(bound(tmp_path, found, augment=augment), ("video",), 0, 4)
    seen = set()
    for step in range(4):
        for clip in pipeline.batch(step)["video"]:
            assert (clip == clip[0]).all(), "every frame of a still clip is changed alike"
            seen.add(clip[0].tobytes())
    assert len(seen) == 16


def spoken():
    """Record n: a wav always; French unless n is 0, English from 6 on, by the first sample 1000 and 2000 more."""
    found = []
    for n in range(COUNT):
        found.append((f"{n:02d}.wav", ramp(n, 20)))
        if n:
            found.append((f"{n:02d}.desc.fr.wav", ramp(n + 100, 20)))
        if n >= 6:
            found.append((f"{n:02d}.desc.en.wav", ramp(n + 200, 20)))
    return found


def test_speech_is_of_a_language_that_the_sample_has(tmp_path):
    data = bound(tmp_path, spoken())
    keys = ("desc.{language}.wav",)
    data.streams = {"audio_2": entry("audio", audio_keys=keys, languages=("en", "fr"))}
    pipeline, heard = TrainPipeline(data, ("audio_2",), 0, COUNT), {n: set() for n in range(COUNT)}
    for step in range(12):
        batch = pipeline.batch(step)
        for n, wave, there in zip(batch["id"], batch["audio_2"], batch["audio_2_present"], strict=True):
            assert there == bool(n) and bool(wave.any()) == there
            heard[int(n)].add(round((1000 * float(wave[0]) - 1 - n) / 100) if there else None)
    assert heard[0] == {None} and all(heard[n] == {1} for n in range(1, 6))
    assert all(heard[n] == {1, 2} for n in range(6, COUNT))
    rows, batch, count = evaluated(data, "audio_2")
    assert [row.record for row in rows] == list(range(6, COUNT)), "English is named first"
    rows, _, _ = evaluated(data, "audio_2", language="fr")
    assert [row.record for row in rows] == list(range(1, COUNT)) and not count.reasons


def test_streams_share_the_sounds_there_are(tmp_path):
    names = ("audio", "audio_2", "audio_3")
    pipeline = TrainPipeline(bound(tmp_path, spoken()[-3:]), names, 0, 1)
    for step in range(5):
        batch = pipeline.batch(step)
        firsts = {round((1000 * float(batch[name][0, 0]) - 12) / 100) for name in names}
        assert firsts == {0, 1, 2}


def test_a_still_picture_is_a_clip_only_when_asked_for(tmp_path):
    found = [(f"{n}.webp", webp(frames(10 * n, 5)) if n % 2 else picture(10 * n, "webp")) for n in range(6)]
    data = bound(tmp_path, found)
    data.video_keys = ()
    data.streams = {"video": entry("video")}
    epoch = TrainPipeline(data, ("video",), 0, 6).batch(0)
    np.testing.assert_array_equal(epoch["video_present"], epoch["id"] % 2 == 1)
    assert not epoch["video"][~epoch["video_present"]].any()
    data.streams = {}
    pipeline = TrainPipeline(data, ("video",), 0, 2)
    assert set(pipeline.batch(0)["id"].tolist()) <= {1, 3, 5}
    assert set(pipeline.unreadable.reasons) <= {"the picture does not move"}
    data.streams = {"video": entry("video", stills=True)}
    epoch = TrainPipeline(data, ("video",), 0, 6).batch(0)
    assert epoch["video_present"].all()
    np.testing.assert_array_equal(epoch["video"][:, :, 0, 0, 0], 10 * np.repeat(epoch["id"][:, None], 3, 1))
    still = epoch["video"][epoch["id"] == 2][0]
    assert (still == still[0]).all()


def test_evaluation_passes_over_what_may_be_missing(tmp_path):
    found = [(f"{n}.webp", webp(frames(n, 5)) if n % 2 else picture(n, "webp")) for n in range(6)]
    data = bound(tmp_path, found, video_keys=())
    for entries, reasons in (({"video": entry("video")}, {}), ({}, {"the picture does not move": 3})):
        data.streams = entries
        rows, batch, count = evaluated(data, "video")
        assert len(rows) == 6 and batch["id"].tolist() == [1, 3, 5] and count.reasons == reasons


def test_streams_of_one_kind_may_differ_in_law_and_size(data):
    data.streams = {"video_2": entry("video", frames=5, sampling="slow", size=4)}
    batch = TrainPipeline(data, ("video", "video_2"), 0, COUNT).batch(0)
    assert batch["video"].shape[1:] == (3, 8, 8, 3) and batch["video_2"].shape[1:] == (5, 4, 4, 3)
    longest = batch["video_2"][batch["id"] == 11][0, :, 0, 0, 1]
    assert (np.diff(longest.astype(int)) == 2).all(), "13 frames: every second one"


def test_an_entry_names_the_augmentations_of_a_view(data):
    data.augment = {"small": config_lib.augment("crop", scale=(0.05, 0.1)).to_dict(), "flip": entry_flip()}
    data.streams = {"image_2": entry("image", augment=("flip",))}
    with_view = TrainPipeline(data, ("image", "image_2"), 0, 4)
    kinds = [[type(a).__name__ for a in stream.augments] for stream in with_view.reader.streams]
    assert kinds == [["Crop", "Flip"], ["Flip"]]
    data.streams = {"image_2": entry("image", augment=("flop",))}
    with pytest.raises(UserError, match="no augmentation 'flop'"):
        check_streams(data, ("image", "image_2"))


def entry_flip():
    return config_lib.augment("flip").to_dict()


class Louder:
    """A sound twice as loud, by a factor that is drawn and thrown away."""

    def __call__(self, wave, rng, sample_rate):
        assert sample_rate == RATE and len(wave) >= 20 and rng.random() < 1
        return 2 * wave


def test_sounds_are_augmented_where_they_are_real(data):
    plain = TrainPipeline(data, ("audio",), 0, COUNT)
    loud = TrainPipeline(data, ("audio",), 0, COUNT)
    vars(loud.reader.streams[0])["augments"] = [Louder()]
    for step in (0, 7):
        one, two = plain.batch(step), loud.batch(step)
        np.testing.assert_array_equal(2 * one["audio"], two["audio"])
        np.testing.assert_array_equal(one["audio_mask"], two["audio_mask"])
    assert_batches_equal(loud.batch(0), loud.batch(0))  # what is kept in memory was not changed


BROKEN = {
    "wav": (b"RIFF junk", "sound does not decode"),
    "clip.npy": (npy(frames(0, 4))[:-7], "video is cut off"),
    "imu.npy": (npy(np.array([{}, 1], object)), "npy array of Python objects"),
}


@pytest.mark.parametrize("member", BROKEN)
def test_damage_is_replaced_and_counted(tmp_path, member):
    content, reason = BROKEN[member]
    found = [(name, content if name == f"07.{member}" else whole) for name, whole in members()]
    pipeline = TrainPipeline(bound(tmp_path, found), KINDS, 0, 4)
    ids = np.concatenate([pipeline.batch(step)["id"] for step in range(3)])
    assert 7 not in ids and pipeline.unreadable.reasons == {reason: 1}
    name = {"wav": "audio", "clip.npy": "video", "imu.npy": "series"}[member]
    data = bound(tmp_path, found)
    rows, batch, count = evaluated(data, name)
    assert len(rows) == COUNT and 7 not in batch["id"] and count.reasons == {reason: 1}


SERIES = {
    "series has another shape or type": [np.zeros((4, 3)), np.zeros(4), np.array([["a", "b"]]), np.zeros((2, 2, 2))],
    "series is empty or not finite": [np.zeros((0, 2)), np.array([[1.0, np.nan]]), np.array([[1.0, 1e300]])],
}


@pytest.mark.parametrize(("reason", "array"), [(r, a) for r, arrays in SERIES.items() for a in arrays])
def test_series_that_are_none(tmp_path, reason, array):
    data = bound(tmp_path, [("0.imu.npy", npy(array))])
    assert evaluated_count(data, "series") == {reason: 1}


@pytest.mark.parametrize(
    "damage", [b"", b"\x93NUMPY", npy(np.zeros(10))[:70], b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((("]
)
def test_npy_files_that_are_none(tmp_path, damage):
    data = bound(tmp_path, [("0.imu.npy", damage)])
    assert set(evaluated_count(data, "series")) <= {"no npy array", "npy array is cut off"}
    lying = npy(np.zeros((3, 2))).replace(b"(3, 2)", b"(9, 2)")
    data = bound(tmp_path, [("0.imu.npy", lying)])
    assert evaluated_count(data, "series") == {"npy array is cut off": 1}


def evaluated_count(data, name):
    stream, count = make_stream(data, name), UnreadableCount(1.0)
    source = open_source(data.source)
    rows = list_rows(stream, source, count)
    assert not any(batch["valid"].any() for batch in row_batches(stream, source, rows, 2, unreadable=count))
    return dict(count.reasons)


def test_samples_without_a_sound(tmp_path):
    found = [(name, whole) for name, whole in members() if not (name.endswith("wav") and int(name[:2]) % 3 == 0)]
    data = bound(tmp_path, found)
    pipeline = TrainPipeline(data, ("audio", "text"), 0, 4)
    ids = np.concatenate([pipeline.batch(step)["id"] for step in range(3)])
    assert (ids % 3 > 0).all() and set(pipeline.unreadable.reasons) == {"no sound in the sample"}
    data.streams = {"audio": entry("audio", missing=0.5)}
    batch = TrainPipeline(data, ("audio", "text"), 0, COUNT).batch(0)
    assert not batch["audio_present"][batch["id"] % 3 == 0].any() and batch["audio_present"].any()
    absent = ~batch["audio_present"]
    assert not batch["audio"][absent].any() and not batch["audio_mask"][absent].any() and absent.sum() > 4


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("audio", "crop", "end", "config.data.audio.crop"),
        ("audio", "seconds", 0.0, "config.data.audio"),
        ("video", "frames", 0, "config.data.video.frames"),
        ("video", "sampling", "often", "config.data.video.sampling"),
        ("series", "steps", 0, "config.data.series.steps"),
        ("series", "channels", 0, "config.data.series.channels"),
        ("series", "crop", "repeat", "config.data.series.crop"),
    ],
)
def test_settings_that_cannot_be(data, section, key, value, said):
    check_streams(data, KINDS)
    setattr(getattr(data, section), key, value)
    with pytest.raises(UserError) as error:
        check_streams(data, KINDS)
    assert said in error.value.where


def test_languages_that_no_ending_names(data):
    data.streams = {"audio": entry("audio", languages=("fr",))}
    with pytest.raises(UserError, match="no ending depends on the language"):
        check_streams(data, ("audio",))


TEXT = "Red cat. Blue dog! Green tree? Big cat. Small dog."


def text_data(tmp_path, **options):
    found = [(f"{n}.json", json.dumps({"caption": TEXT}).encode()) for n in range(8)]
    data = bound(tmp_path, found, captions=(("{caption}", 1.0),), context=24)
    data.streams = {"text": entry("text", **options)} if options else {}
    return data


def test_some_sentences_of_a_caption(tmp_path):
    pipeline = TrainPipeline(text_data(tmp_path, sentences=2), ("text",), 0, 8)
    texts = {example["text"].text for step in range(12) for _, example in pipeline.examples(step, range(8))}
    sentences = TEXT.replace("! ", "!|").replace("? ", "?|").replace(". ", ".|").split("|")
    pairs = {f"{a} {b}" for i, a in enumerate(sentences) for b in sentences[i + 1 :]}
    assert texts == pairs and len(pairs) == 10, "two of five, in their order"
    rows, _, _ = evaluated(text_data(tmp_path, sentences=2), "text")
    assert {row.text for row in rows} == {TEXT}, "evaluation takes all of them"


def test_tokens_are_left_out_but_the_first_and_the_last(tmp_path):
    whole = TrainPipeline(text_data(tmp_path), ("text",), 0, 8).batch(0)
    real = int(whole["text_mask"][0].sum())
    pipeline = TrainPipeline(text_data(tmp_path, token_dropout=0.4), ("text",), 0, 8)
    kept = []
    for step in range(40):
        batch = pipeline.batch(step)
        for ids, mask in zip(batch["text"], batch["text_mask"], strict=True):
            count = int(mask.sum())
            assert mask[:count].all() and not ids[count:].any()
            assert ids[0] == 1 and ids[count - 1] == 2, "the special tokens stay"
            remaining = iter(whole["text"][0, :real].tolist())
            assert all(token in remaining for token in ids[:count].tolist()), "what stays is in order"
            kept.append(count - 2)
    assert_batches_equal(pipeline.batch(3), pipeline.batch(3))
    share, free = np.mean(kept) / (real - 2), 320 * (real - 2)
    assert abs(share - 0.6) < 4 * (0.6 * 0.4 / free) ** 0.5
    _, batch, _ = evaluated(text_data(tmp_path, token_dropout=0.4), "text")
    np.testing.assert_array_equal(batch["text_mask"].sum(1), real)


VECTORS = {
    "array has values that are not finite": [np.array([1, np.nan], np.float32), np.array([1, 1e300])],
    "array holds no numbers": [np.array(["a", "b"])],
}


@pytest.mark.parametrize(("reason", "array"), [(r, a) for r, arrays in VECTORS.items() for a in arrays])
def test_vectors_that_are_none(tmp_path, reason, array):
    path = str(tmp_path / "a.arrayrecord")
    write_array_record(path, ({"vector": array if n == 2 else np.arange(2) + n} for n in range(4)))
    data = settings(path, "emoji", **sections())
    assert evaluated(data, "vector")[2].reasons == {reason: 1}
    pipeline = TrainPipeline(data, ("vector",), 0, 2)
    for step in range(3):
        batch = pipeline.batch(step)
        np.testing.assert_array_equal(batch["vector"], batch["id"][:, None] + np.arange(2))
    assert set(pipeline.unreadable.reasons) == {reason}


def test_without_a_language(data):
    """Captions that do not come by language need none; endings that name one do."""
    data.languages = ()
    assert [row.text for row in evaluated(data, "text")[0]] == ["a cat"] * COUNT
    data.audio_keys = ("desc.{language}.wav",)
    with pytest.raises(UserError, match="there is none") as error:
        check_streams(data, ("audio",))
    assert error.value.where == "config.data.languages"
