"""Names in a config that refer to one another: a misspelt one is told by `validate`, with what is there."""

import pytest

from mmjax import config as c
from mmjax.data.tokenizers import make_tokenizer
from mmjax.errors import UserError
from mmjax.training.load import check_vocabulary
from tests.training.test_step import small_config


def config_with(name="more", **sections):
    """A small config with heads, a teacher of its own, and further entries under `name`."""
    config = small_config()
    config.streams.image_2 = "image"
    config.heads.image_tokens = c.head("tokens", stream="image")
    config.heads.text_tokens = c.head("tokens", stream="text")
    config.teachers.ema = c.teacher("ema")
    for section, entry in sections.items():
        config[section][name] = entry
    return config


@pytest.mark.parametrize(
    ("kind", "options", "option"),
    [
        ("softmax", {"streams": ("image", "tekst")}, "streams"),
        ("pairwise", {"streams": ("image", "text"), "pairs": (("image", "tekst"),)}, "pairs"),
        ("cross_views", {"pairs": (("image", "text"), ("image_2", "tekst"))}, "pairs"),
        ("redundancy", {"pairs": (("image", "tekst"),)}, "pairs"),
        ("prediction", {"pairs": (("image", "ema/tekst"),)}, "pairs"),
        ("swapped_matching", {"pairs": (("image", "text", "image_2", "tekst"),)}, "pairs"),
        ("triple", {"views": ("image_2", "tekst")}, "views"),
        ("triple", {"parts": ("image_tokens", "tekst_tokens")}, "parts"),
        ("hard_negatives", {"negatives": ("tekst",)}, "negatives"),
        ("hard_negatives", {"negatives": ("text",), "teachers": ("text", "ema/tekst")}, "teachers"),
        ("captioning", {"relevance": ("image_tokens", "tekst")}, "relevance"),
        ("masked_image", {"relevance": ("tekst", "text")}, "relevance"),
        ("dreamlip", {"streams": ("image", "text"), "tokens": "tekst_tokens"}, "tokens"),
        ("lexical", {"streams": ("image", "text"), "texts": ("", "tekst")}, "texts"),
    ],
)
def test_an_objective_names_features_that_are_there(kind, options, option):
    config = config_with(objectives=c.objective(kind, **options))
    with pytest.raises(UserError, match="tekst(_tokens)?' does not exist") as error:
        c.validate(config)
    assert error.value.where == f"config.objectives.more.{option}"
    assert "streams here: image, image_2, text; heads: image_tokens, text_tokens" in error.value.remedy
    for name, value in options.items():
        config.objectives.more[name] = spelt(value)
    c.validate(config)


def spelt(value):
    return tuple(map(spelt, value)) if isinstance(value, tuple) else value.replace("tekst", "text")


@pytest.mark.parametrize("kind", ["triple", "off_diagonal"])
def test_an_objective_names_a_teacher_that_is_there(kind):
    config = config_with(objectives=c.objective(kind, teacher="emma"))
    with pytest.raises(UserError, match="no teacher 'emma'") as error:
        c.validate(config)
    assert (error.value.where, error.value.remedy) == ("config.objectives.more.teacher", "teachers here: ema")


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("retrieval", {"streams": ("image", "tekst")}, "'tekst' does not exist"),
        ("retrieval", {"every": "often"}, "is not a duration"),
        ("retrieval", {"captions": "{label"}, "template"),
        ("token_retrieval", {"objective": "filipp"}, "no objective 'filipp'"),
        ("token_retrieval", {"objective": "contrastive"}, "no score of tokens"),
        ("token_retrieval", {"objective": "groups"}, "compares text_tokens, image_tokens, image"),
        ("group_retrieval", {"objective": "groups", "groups": (("tekst",),)}, "is no group"),
        ("code_overlap", {"objective": "filip"}, "no codebook"),
    ],
)
def test_an_evaluation_names_what_is_there(kind, options, says):
    config = config_with(evaluations=c.evaluation(kind, source="emoji:validation-unseen", **options))
    config.objectives = {
        "contrastive": c.objective("softmax"),
        "filip": c.objective("filip"),
        "groups": c.objective("grouped_tokens", streams=("text_tokens", "image_tokens", "image")),
    }
    with pytest.raises(UserError, match=says):
        c.validate(config)


def test_the_features_of_another_run(tmp_path):
    """Those that it makes of the streams here; a run that is yet to be made may have any."""
    config = config_with(objectives=c.objective("softmax", streams=("image", "old/tekst")))
    config.teachers.old = c.teacher("run", workdir=str(tmp_path))
    c.validate(config)
    other = small_config()
    other.streams.text_2 = "text"
    other.heads.words = c.head("mlp", stream="text")
    (tmp_path / "config.json").write_text(c.to_json(other))
    with pytest.raises(UserError, match="'old/tekst' does not exist") as error:
        c.validate(config)
    assert error.value.remedy.endswith("teachers: ema, old; of 'old': image, text, words")
    config.objectives.more.streams = ("old/words", "old/text")
    c.validate(config)
    config.objectives.more.streams = ("image", "old/text_2")  # which no batch here has
    with pytest.raises(UserError, match="'old/text_2' does not exist"):
        c.validate(config)


@pytest.mark.parametrize("section", ["objectives", "evaluations"])
def test_a_head_of_words_has_room_for_the_tokenizer(section):
    config = small_config()
    config.towers.text.vocab_size = 4096
    tokens = make_tokenizer(config.data.tokenizer, config.data.context).vocab_size
    for stream in ("image", "text"):
        config.heads[f"{stream}_words"] = c.head("lexical", stream=stream, vocabulary=tokens - 1)
    config.objectives.words = c.objective("lexical", texts=("", ""))  # a space of its own
    check_vocabulary(config)
    if section == "objectives":
        config.objectives.words.texts = ("", "text")
    else:
        config.evaluations.words = c.evaluation("lexical_retrieval", source="emoji:validation-unseen")
    with pytest.raises(UserError, match=f"has {tokens} tokens, the head 'image_words' room for {tokens - 1}") as error:
        check_vocabulary(config)
    assert error.value.remedy == f"set config.heads.image_words.vocabulary = {tokens}"
    for stream in ("image", "text"):
        config.heads[f"{stream}_words"].vocabulary = tokens
    check_vocabulary(config)
