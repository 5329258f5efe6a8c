"""Contrastive Gap: It's Not a Modality Gap: Characterizing and Addressing the Contrastive Gap (Fahim et al. 2024, arXiv
2405.18570).

Does:     Adds to CLIP's loss what spreads each modality and draws pairs together: L_CUA = L_CLIP + 1/2 (U(x) + U(y)) +
          A with U = log mean_{i != j} exp(-2 |x_i - x_j|^2), A = mean |x_i - y_i|^2; L_CUAXU adds XU = log mean_{i !=
          j} exp(-2 |x_i - y_j|^2).
Files:    mmjax/losses/geometry.py, mmjax/objectives/geometry.py, mmjax/evaluation/gap.py
Differs:  from the paper: small towers from scratch where it fine-tunes CLIP; in "full" the number of epochs is this
          project's. From its released code: nothing known; its weights of 1 and temperature of 0.01 are taken.
Command:  mmjax sweep --config=configs/papers/contrastive_gap.py --workdir=runs/papers/contrastive_gap
Cost:     2 minutes on 2 cores (3 cells x 3 seeds, 300 steps).
Claim:    CUA brings the centroids of pictures and labels, in an unseen style, to less than a quarter of the distance
          that CLIP's loss leaves, at the same R@1; CUAXU does so too.
Result:   distance 0.97 +- 0.01 CLIP, 0.12 +- 0.00 CUA, 1.87 +- 0.01 CUAXU; R@1 of labels for pictures 17.6 +- 2.6 %,
          16.2 +- 2.1, 10.6 +- 0.4 (chance 0.3).
Verdict:  partly holds: CUA closes the gap and keeps R@1 within the noise. CUAXU opens it: cross-uniformity alone is
          lowest with the modalities at opposite poles, and from scratch it wins over alignment.
"""

from mmjax import config as c
from mmjax.experiments import recipes

# Weights of alignment, uniformity and cross-uniformity beside CLIP's loss.
ARMS = {"clip": (), "cua": (1.0, 1.0, 0.0), "cuaxu": (1.0, 1.0, 1.0)}


def get_config(arg: str = "cua"):
    """`arg`: clip, cua or cuaxu for small towers on the emoji; full for cua with the paper's towers and batch."""
    if arg != "full" and arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    config = c.default()
    (_full if arg == "full" else _emoji)(config)
    # The temperature is not learned, as in the paper.
    config.objectives.contrastive = c.objective("softmax", temperature=0.01)
    config.optimizer.rules = (("logit_scale", 0.0, 0.0),)
    if weights := ARMS.get(arg, ARMS["cua"]):
        named = zip(("alignment", "uniformity", "cross_uniformity"), weights, strict=True)
        config.objectives.geometry = c.objective("geometry", **dict(named))
    return config


def _emoji(config):
    """Retrieval and the gap in an unseen style."""
    recipes.emoji(config)
    style = {"source": "emoji:style", "captions": "{label}", "every": "100%"}
    config.evaluations.style = c.evaluation("retrieval", **style)
    config.evaluations.gap = c.evaluation("gap", **style)


def _full(config):
    """CLIP's B/32 towers fine-tuned on MS COCO: batch 64, learning rate 1e-6, a shared space of width 128."""
    config.duration = "9 epochs"
    config.batch_size = 64
    config.embed_dim = 128
    config.data.source = "data/coco-train/{00000..00059}.tar"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, act="quick_gelu", **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-B/32", act="quick_gelu", **recipes.LEAN)
    config.optimizer.learning_rate = 1e-6
    config.optimizer.weight_decay = 0.1


def get_sweep():
    """The loss alone, with the paper's terms, and with cross-uniformity besides."""
    return c.sweep(
        {arm: {"arg": arm} for arm in ARMS},
        baseline="clip",
        metrics=("val/gap/modality_gap", "val/style/image_to_text_R@1", "val/style/text_to_image_R@1"),
    )
