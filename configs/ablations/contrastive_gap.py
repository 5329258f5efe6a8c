"""What closes the gap between modalities: the terms of Fahim et al. (2024, arXiv 2405.18570) against the temperature.

Command: mmjax sweep --config=configs/ablations/contrastive_gap.py --workdir=runs/ablations/gap --processes=2
         mmjax report runs/ablations/gap

The runs of configs/papers/contrastive_gap.py, whose temperature is not learned, at three temperatures: with CLIP's loss
alone, with alignment and uniformity (cua), and with uniformity across the modalities besides (cuaxu).
"""

import runpy
from pathlib import Path

from mmjax import config as c

PAPER = runpy.run_path(str(Path(__file__).parents[1] / "papers" / "contrastive_gap.py"))


def get_config(arg: str = "clip"):
    """`arg`: clip, cua or cuaxu."""
    config = PAPER["get_config"](arg)
    config.log.every = "5%"
    config.checkpoint.every = "50%"
    return config


def get_sweep():
    """Each set of terms at each temperature, compared with the loss alone."""
    cells = {
        f"terms={terms},temperature={temperature}": {
            "arg": terms,
            "objectives.contrastive.temperature": temperature,
        }
        for terms in ("clip", "cua", "cuaxu")
        for temperature in (0.01, 0.05, 0.2)
    }
    metrics = ("val/gap/modality_gap", "val/style/image_to_text_R@1", "val/style/text_to_image_R@1")
    return c.sweep(cells, baseline="terms=clip", metrics=metrics)
