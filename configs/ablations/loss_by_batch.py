"""Which loss for which batch: softmax, sigmoid, decoupled and iSogCLR at batches of 16, 64 and 256 on the emoji.

Command: mmjax sweep --config=configs/ablations/loss_by_batch.py --workdir=runs/ablations/loss_by_batch --processes=2
         mmjax report runs/ablations/loss_by_batch

Every run sees 30,000 examples, so that batches cost the same; the learning rate grows with the root of the batch.
DCL (Yeh et al. 2021, arXiv 2110.06848) and iSogCLR (Qiu et al. 2023, arXiv 2305.11965) promise to lose less than
softmax at small batches.
"""

from mmjax import config as c
from mmjax.experiments import recipes

LOSSES = {
    "softmax": c.objective("softmax"),
    "sigmoid": c.objective("sigmoid"),
    "decoupled": c.objective("decoupled"),
    "isogclr": c.objective("isogclr", gamma=0.8, rho=2.0),
}
BATCHES = (16, 64, 256)


def get_config(arg: str = "softmax"):
    """`arg`: softmax, sigmoid, decoupled or isogclr."""
    if arg not in LOSSES:
        raise ValueError(f"unknown argument {arg!r}: one of {', '.join(LOSSES)}")
    config = c.default()
    recipes.emoji(config)
    config.duration = "30k examples"
    config.objectives.contrastive = LOSSES[arg]
    config.schedule.warmup = "10%"
    config.log.every = "5%"
    config.checkpoint.every = "50%"
    for split in ("style", "unseen"):
        config.evaluations[split] = c.evaluation("retrieval", source=f"emoji:{split}", captions="{label}", every="100%")
    return config


def get_sweep():
    """Each loss at each batch, compared with softmax at the same batch."""
    cells = {
        f"loss={loss},batch={batch}": {
            "arg": loss,
            "batch_size": batch,
            "optimizer.learning_rate": 2e-3 * (batch / 64) ** 0.5,
        }
        for loss in LOSSES
        for batch in BATCHES
    }
    recalls = ("val/style/image_to_text_R@1", "val/style/text_to_image_R@1", "val/unseen/image_to_text_R@5")
    return c.sweep(cells, baseline="loss=softmax", metrics=recalls)
