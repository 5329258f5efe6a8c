"""A run of one step whose evaluations rank by scores, words and descents: those that see more than unit vectors.

Command: mmjax train --config=tests/scored.py --workdir=DIR
"""

import runpy
from pathlib import Path

from mmjax import config as c

TINY = Path(__file__).with_name("tiny.py")
TEST = {"source": "emoji:validation-unseen", "captions": "{label}", "every": "100%"}


def get_config():
    """`tests/tiny.py` without anything random in the towers."""
    config = runpy.run_path(str(TINY))["get_config"]("1")
    config.ema_decay = 0.0
    for tower in config.towers.values():
        tower.update({k: 0.0 for k in ("drop_path", "patch_dropout", "dropout") if k in tower})
    config.towers.text = c.tower("text", vocab_size=2048, context=16, width=16, depth=1, heads=2, pool="eot", eot_id=1)
    for stream in ("image", "text"):
        config.heads[f"{stream}_tokens"] = c.head("tokens", stream=stream)
        config.heads[f"{stream}_words"] = c.head("lexical", stream=stream, vocabulary=2048)
    tokens = ("image_tokens", "text_tokens")
    config.objectives.filip = c.objective("filip", streams=tokens)
    config.objectives.fdt = c.objective("fdt", streams=tokens, codes=32)
    config.objectives.groups = c.objective("grouped_tokens", streams=tokens[::-1])
    config.evaluations = {
        "filip": c.evaluation("token_retrieval", objective="filip", **TEST),
        "fdt": c.evaluation("token_retrieval", objective="fdt", **TEST),
        "groups": c.evaluation("group_retrieval", objective="groups", **TEST),
        "codes": c.evaluation("code_overlap", objective="fdt", **TEST),
        "words": c.evaluation("lexical_retrieval", k=32, **TEST),
        "inverted": c.evaluation("inverted_retrieval", label="group", count=20, oti_steps=2, ovi_steps=2, **TEST),
    }
    return config
