"""Verbs about data alone."""

from absl import flags

from mmjax.verbs.verb import Verb


def _data_flags(values) -> None:
    meaning = "picture of what reaches the model; a page with players goes beside it, ending in .html"
    flags.DEFINE_string("out", "contact_sheet.png", meaning, flag_values=values)
    meaning = "read everything once instead, and list what is broken by file, member and reason"
    flags.DEFINE_bool("check", False, meaning, flag_values=values)
    flags.DEFINE_bool("index", False, "build the indexes of all sources ahead instead", flag_values=values)


def _data(values) -> dict | None:
    from mmjax.config import validate
    from mmjax.data.inspection.check import build_indexes, check
    from mmjax.data.inspection.preview import preview

    validate(values.config)
    if values.index:
        return build_indexes(values.config)
    return check(values.config) if values.check else preview(values.config, values.out)


def _train_tokenizer_flags(values) -> None:
    flags.DEFINE_integer("vocab_size", 8192, "greatest number of pieces", flag_values=values)
    flags.DEFINE_enum("kind", "bpe", ("bpe", "sentencepiece"), "how the pieces are found", flag_values=values)
    flags.DEFINE_string("out", None, "tokenizer.json to write, for data.tokenizer", flag_values=values)


def _train_tokenizer(values) -> dict | None:
    from mmjax.data.mixture import open_data
    from mmjax.data.tokenizers.train import train_tokenizer

    data = values.config.data
    result = train_tokenizer(open_data(data), data, values.vocab_size, values.out, values.kind)
    print("{path}: {vocab_size} pieces from {captions} captions".format(**result))
    return result


DATA = {
    "data": Verb("show what a config's data looks like when it reaches the model", _data_flags, _data, ("config",)),
    "data train_tokenizer": Verb(
        "train a tokenizer on the captions of a config", _train_tokenizer_flags, _train_tokenizer, ("config", "out")
    ),
}
