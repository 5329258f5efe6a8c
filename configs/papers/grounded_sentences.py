"""Visually grounded sentences: Learning semantic sentence representations from visually grounded language without
lexical knowledge (Merkx & Frank 2019, arXiv 1903.11393).

Does:     A recurrent unit over the letters of a sentence, trained with pictures alone by the batch's hinge: sum over j
          != i of max(0, 0.2 + x_i.y_j - x_i.y_i) + max(0, 0.2 + x_j.y_i - x_i.y_i); cosines of sentences are then
          compared with how people judge their likeness, or here scenes.
Files:    mmjax/losses/hinge.py, mmjax/objectives/ranking.py, mmjax/encoders/recurrent.py, mmjax/evaluation/sentences.py
Differs:  from the paper, of which the loss and the letters were taken from its released code and the rest from memory:
          one direction of the unit and its last state, where there are two and attention pooling; bytes for letters;
          the mean over anchors; no cyclic learning rate, no ensemble of snapshots.
Command:  mmjax sweep --config=configs/papers/grounded_sentences.py --workdir=runs/papers/grounded_sentences
Cost:     2 minutes on 2 cores (2 cells x 3 seeds, 400 steps).
Claim:    Pictures of scenes are found by their sentences far above chance, and cosines of sentences, of which no word
          was given, correlate with what their scenes share: Spearman above 0.5, and above an untrained tower's.
Result:   R@1 of 200, text to picture: 35.5 +- 11.7 % (untrained 1.2 +- 0.3, chance 0.5); Spearman over 320 pairs 0.565
          +- 0.028 (untrained 0.394 +- 0.019).
Verdict:  holds; most of the correlation is spelling, which an untrained unit sees too.
"""

import itertools
from pathlib import Path

from mmjax import config as c
from mmjax.experiments import recipes

CONTEXT = 48
# Sentences of the made-up scenes in pairs, scored by what both scenes share; `python THIS_FILE` writes it.
PAIRS = Path(__file__).with_suffix(".csv")


def get_config(arg: str = ""):
    """`arg`: "" for made-up scenes described in one sentence, spelled by letters; "untrained"; "full" for photos."""
    if arg == "full":
        return _full()
    if arg not in ("", "untrained"):
        raise ValueError(f"unknown argument {arg!r}: none, untrained or full")
    config = c.default()
    config.duration = "1 steps" if arg else "400 steps"
    config.batch_size = 64
    config.embed_dim = 64
    config.data.source = "synthetic:train,count=1000,side=16"
    config.data.image_size = 16
    config.data.captions = (("{caption}", 1.0),)
    config.towers.image = c.tower("mlp", image_size=16, shrink=1, width=128, depth=2)
    _sentences(config, CONTEXT, width=128)
    config.optimizer.learning_rate = 2e-3
    config.schedule.warmup = "0 steps" if arg else "40 steps"
    config.evaluations.scenes = c.evaluation(
        "retrieval", source="synthetic:test,count=200,side=16", captions="{caption}", every="100%"
    )
    config.evaluations.sentences = c.evaluation("sentence_similarity", source=str(PAIRS))
    return config


def _sentences(config, context, *, width):
    """A recurrent unit over bytes, and the batch's hinge."""
    config.data.tokenizer = "bytes"
    config.data.context = context
    config.towers.text = c.tower("gru", vocab_size=259, context=context, width=width)
    config.objectives.hinge = c.objective("hinge", margin=0.2)


def _full():
    """Photos with five sentences each, ResNet's part taken by a frozen ViT that comes with `init_from`; batch 100."""
    config = c.default()
    config.duration = "32 epochs"
    config.batch_size = 100
    config.embed_dim = 2048
    config.data.source = "data/coco-train/{00000..00112}.tar"
    config.data.image_size = 224
    config.towers.image = c.tower("vit", "B/16", image_size=224, pool="mean", **recipes.LEAN)
    _sentences(config, 256, width=1024)
    config.optimizer.rules = (("model/image/", 0.0, 0.0),)
    config.optimizer.learning_rate = 1e-4
    return config


def get_sweep():
    """Trained on scenes, and as it starts."""
    return c.sweep(
        {"grounded": {}, "untrained": {"arg": "untrained"}},
        baseline="untrained",
        metrics=("val/scenes/text_to_image_R@1", "val/sentences/spearman"),
    )


def _write_pairs(each: int = 80, scenes: int = 150):
    """As many pairs of test scenes' captions that share 0, 1, 2 and 3 of shape, colour, size and place."""
    from mmjax.data.sources import open_source

    source, lines = open_source(f"synthetic:test,count={scenes},side=16,seed=1"), {}
    words = [source.scene(i).words for i in range(scenes)]
    for one, other in itertools.combinations(words, 2):
        shared = sum(one[name] == other[name] for name in ("shape", "colour", "size", "place"))
        lines.setdefault(shared, []).append(f"{one['caption']},{other['caption']},{shared}")
    chosen = [lines[shared][:: len(lines[shared]) // each][:each] for shared in range(4)]
    PAIRS.write_text("\n".join(["sentence1,sentence2,score", *itertools.chain(*chosen)]) + "\n")


if __name__ == "__main__":
    _write_pairs()
