"""How losses bear missing modalities: pairwise, Symile and GRAM as ever more captions are withheld.

Command: mmjax sweep --config=configs/ablations/missing_modalities.py --workdir=runs/ablations/missing --processes=2
         mmjax report runs/ablations/missing

The three streams of configs/three_modalities.py with small towers. Of 1304 concepts 463 have no Fluent picture anyway;
on top, the caption of a share of the samples is withheld. Products and volumes need all three, pairs only two.
"""

import runpy
from pathlib import Path

from mmjax import config as c

THREE = runpy.run_path(str(Path(__file__).parents[1] / "three_modalities.py"))


def get_config(arg: str = "pairwise"):
    """`arg`: pairwise, symile or gram."""
    config = THREE["get_config"](arg)
    config.duration = "300 steps"
    config.batch_size = 64
    config.embed_dim = 64
    config.data.image_size = 16
    for tower in (config.towers.image, config.towers.image_2):
        tower.update({"image_size": 16, "shrink": 1, "width": 128, "depth": 2})
    config.towers.text.update({"width": 64, "depth": 0})
    config.log.every = "5%"
    config.checkpoint.every = "50%"
    return config


def get_sweep():
    """Each objective with no, two fifths and four fifths of the captions withheld, compared with pairs."""
    cells = {
        f"loss={loss},missing={missing}": {"arg": loss, "data.streams.text.missing": missing}
        for loss in ("pairwise", "symile", "gram")
        for missing in (0.0, 0.4, 0.8)
    }
    metrics = ("image_to_text_R@5", "image+image_2_to_text_R@5", "image+text_to_image_2_R@5")
    return c.sweep(cells, baseline="loss=pairwise", metrics=tuple(f"val/unseen/{m}" for m in metrics))
