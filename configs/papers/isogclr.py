"""TODO"""

from mmjax import config as c

ARMS = {
    "clip": ("softmax", {}),
    "sogclr": ("sogclr", {"gamma": 0.8}),
    "isogclr": ("isogclr", {"gamma": 0.8, "rho": 2.0}),
    "fastclip_v1": ("sogclr", {"gamma": 0.2, "gamma_steps": 400}),
    "fastclip_v3": ("fastclip", {"gamma": 0.2, "gamma_steps": 400, "rho": 2.0}),
}


def get_config(arg: str = "isogclr"):
    """`arg`: clip, sogclr, isogclr, fastclip_v1 or fastclip_v3 on the emoji; full: FastCLIP-v3's recipe for CC12M."""
    if arg == "full":
        return _full()
    if arg not in ARMS:
        raise ValueError(f"unknown argument {arg!r}: full, or one of {', '.join(ARMS)}")
    kind, options = ARMS[arg]
    config = c.default()
    config.duration = "800 steps"
    config.batch_size = 32
    config.embed_dim = 64
    config.data.image_size = 16
    config.data.captions = (("{label}", 0.6), ("{label}, {tags}", 0.4))
    config.data.augment.affine = c.augment("affine", scale=(0.75, 1.2), aspect=0.1, shift=0.09, rotate=10.0)
    config.towers.image = c.tower("mlp", image_size=16, shrink=1, width=256, depth=2)
    config.towers.text = c.tower("text", vocab_size=2048, context=16, width=64, depth=0, heads=2, pool="mean")
    config.objectives.contrastive = c.objective(kind, **options)
    config.optimizer.learning_rate = 2e-3
    config.schedule.warmup = "40 steps"
    config.evaluations.style = c.evaluation("retrieval", source="emoji:style", captions="{label}", every="100%")
    config.evaluations.unseen = c.evaluation("retrieval", source="emoji:unseen", captions="{label}", every="100%")
    return config


def _full():
    """ViT-B/32 on CC12M: batch 2,048, 33 epochs, gamma from 1 to 0.2 over half of them."""
    config = c.default()
    config.duration = "33 epochs"
    config.batch_size = 2048
    config.embed_dim = 512
    config.data.source = "data/cc12m/{00000..01100}.tar"
    config.data.tokenizer = "tokenizer.json"
    config.data.image_size = 224
    config.data.context = 77
    config.data.threads = 16
    config.data.augment.crop = c.augment("crop", scale=(0.9, 1.0))
    lean = {"scan": True, "remat": "full"}
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, **lean)
    config.towers.text = c.tower("text", "clip-B/32", **lean)
    steps = 33 * 9_187_328 // 2048
    config.objectives.contrastive = c.objective("fastclip", gamma=0.2, gamma_steps=steps // 2, rho=8.5)
    config.optimizer.learning_rate = 4e-4
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup = "10000 steps"
    return config


def get_sweep():
    """Every arm at batch 32."""
    return c.sweep(
        {arm: {"arg": arm} for arm in ARMS},
        baseline="clip",
        metrics=("val/style/image_to_text_R@1", "val/style/text_to_image_R@1", "val/unseen/image_to_text_R@1"),
    )
