"""IRRA: Cross-Modal Implicit Relation Reasoning and Aligning for Text-to-Image Person Retrieval (Jiang & Ye 2023, arXiv
2303.12501).

Does:     Similarity distribution matching: L = mean_i sum_j p_ij log(p_ij / (q_ij + 1e-8)) both ways, p_ij =
          softmax_j(50 x_i.y_j), q_ij = [id_i = id_j] / sum_k [id_i = id_k]: reverse KL to even identities.
Files:    mmjax/losses/distribution.py, mmjax/objectives/identities.py, mmjax/evaluation/label_retrieval.py
Differs:  from the paper: SDM alone, without its identity classifier and masked language modelling; "full" has square
          pictures. From its released code: q is normalised over each anchor's candidates as the paper writes it, there
          by columns, which differs once samples are missing.
Command:  mmjax sweep --config=configs/papers/irra.py --workdir=runs/papers/irra
Cost:     1.5 minutes on 2 cores (5 cells x 3 seeds, 300 steps).
Claim:    Where a batch has four samples of each identity, retrieval by identity is better than with InfoNCE, whose
          negatives are of one's own identity too; where hardly two are of one identity, both are the same.
Result:   24 identities: mAP@10 84.8 +- 0.8 % SDM, 77.3 +- 0.3 InfoNCE, 83.9 +- 0.9 InfoNCE that knows the identities;
          R@1 94.4 +- 0.5, 91.3 +- 2.7, 92.8 +- 1.6. 3,000 identities: R@1 54.0 +- 2.3 SDM, 58.3 +- 2.2 InfoNCE.
Verdict:  partly holds: SDM is 7.5 points of mAP above InfoNCE with repeats, most of which InfoNCE gets too once it is
          told the identities; without repeats SDM is 4 points below, not the same.
"""

from mmjax import config as c
from mmjax.experiments import recipes

ARMS = {
    "sdm": ("sdm", {"temperature": 0.02}),
    "infonce": ("softmax", {"temperature": 0.02}),
    "positives": ("softmax", {"temperature": 0.02, "positives": "label"}),
}


def get_config(arg: str = "sdm,24"):
    """`arg`: ARM,IDENTITIES with sdm, infonce or positives (InfoNCE that knows the identities); "full" for persons."""
    if arg == "full":
        return _full()
    arm, _, identities = arg.partition(",")
    if arm not in ARMS or not identities.isdecimal():
        raise ValueError(f"unknown argument {arg!r}: full, or IDENTITIES behind one of {', '.join(ARMS)} and a comma")
    config = c.default()
    config.duration = "300 steps"
    config.batch_size = 96
    config.embed_dim = 32
    source = f"classes={identities},shared=16,widths=64/48,spread=1,sigma=0.5,noise=0.5"
    config.data.source = f"latent:train,count=4096,{source}"
    config.data.label = "cls"
    del config.streams.image, config.streams.text
    streams = ("vector", "vector_2")
    for stream in streams:
        config.streams[stream] = stream
        config.towers[stream] = c.tower("vector", hidden=64)
    kind, options = ARMS[arm]
    config.objectives.identities = c.objective(kind, streams=streams, **options)
    config.optimizer.rules = (("logit_scale", 0.0, 0.0),) if kind == "softmax" else ()
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.01
    config.evaluations.identity = c.evaluation(
        "label_retrieval", source=f"latent:test,count=512,{source}", streams=streams
    )
    return config


def _full():
    """CLIP's ViT-B/16 fine-tuned on CUHK-PEDES: 60 epochs, batch 64, pictures of 384 x 128 (here square), rate 1e-5."""
    config = c.default()
    config.duration = "60 epochs"
    config.batch_size = 64
    config.embed_dim = 512
    config.data.source = "data/cuhk-pedes-train/{00000..00033}.tar"
    config.data.label = "person"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.data.augment.flip = c.augment("flip", probability=0.5)
    config.towers.image = c.tower("vit", "clip-B/16", image_size=224, act="quick_gelu", **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-B/16", act="quick_gelu", **recipes.LEAN)
    config.objectives.identities = c.objective("sdm", temperature=0.02)
    config.optimizer.learning_rate = 1e-5
    return config


def get_sweep():
    """With four samples of an identity in a batch, and with hardly two of any."""
    cells = {f"{arm}_{n}": {"arg": f"{arm},{n}"} for n in (24, 3000) for arm in ARMS if (arm, n) != ("positives", 3000)}
    return c.sweep(
        cells,
        baseline="infonce_24",
        metrics=("val/identity/vector_to_vector_2_R@1", "val/identity/vector_to_vector_2_mAP@10"),
    )
