"""X-Pool: Cross-Modal Language-Video Attention for Text-Video Retrieval (Gorti et al. 2022, arXiv 2203.15086).

Does:     a video is pooled anew for every caption: z = LN(u + W u), u = LN(O softmax(Q(t) . K(frames) / sqrt(D))
          V(frames)), inputs normed, all products starting as the identity; InfoNCE of cos(t, z) in both directions.
Files:    mmjax/losses/tokens_attention.py, mmjax/losses/tokens.py, mmjax/objectives/tokens.py
Differs:  from the paper: no dropout (0.3 there) on the pooled vectors of pairs. From its released code: keys have no
          bias, to which a softmax is blind; the B x B x D pooled vectors are made by tiles; frames have unit norm
          before the first layer norm. The recipe of `full` is from memory of the paper.
Command:  mmjax sweep --config=configs/papers/xpool.py --workdir=runs/papers/xpool
Cost:     at most 65 s on 2 cores (2 arms x 3 seeds).
Claim:    captions of three things that one of twelve frames shows (1 of 500): pooled for the caption, recall is more
          than 50 points above that of the frames' mean.
Result:   mean +- sd over seeds 0, 1, 2: text to video (series) R@1 98.5 +- 0.3 %, video to text 98.0 +- 0.9 %; mean of
          frames 1.3 +- 0.5 and 1.5 +- 0.4 %.
Verdict:  holds.
"""

from mmjax import config as c
from mmjax.experiments import recipes

# Twelve frames that show three things each; a caption names those of one frame.
SCENES = "words=120,patches=12,things=3,named=1,noise=0.3"
TEST = recipes.scenes_to_find(SCENES)


def get_config(arg: str = ""):
    """`arg`: the arms of `get_sweep`; "full" for the paper's own recipe."""
    if arg == "full":
        return _full()
    config = c.default()
    recipes.scenes(config, SCENES, patches=12, context=4)
    recipes.token_heads(config, "series", "text")
    if arg == "":
        config.objectives.xpool = c.objective("xpool", streams=("series_tokens", "text_tokens"))
        config.evaluations.test = c.evaluation("token_retrieval", objective="xpool", **TEST)
    elif arg == "mean":
        config.objectives.pooled = c.objective("softmax", streams=("series", "text"))
        config.evaluations.test = c.evaluation("retrieval", streams=("series", "text"), **TEST)
    else:
        raise ValueError(f"unknown argument {arg!r}: none, 'mean' or 'full'")
    return config


def _full():
    """MSR-VTT from CLIP B/32 (`init_from`): 12 frames, batches of 32, 5 epochs, towers at a tenth of the rate."""
    config = c.default()
    recipes.msr_vtt(config, batch_size=32, learning_rate=1e-5, tower_rate=0.1)
    config.objectives.xpool = c.objective("xpool")
    return config


def get_sweep():
    """The arms over three seeds."""
    return c.sweep(
        {
            "xpool": {},
            "mean": {"arg": "mean"},
        },
        baseline="mean",
        metrics=("val/test/series_to_text_R@1", "val/test/text_to_series_R@1"),
    )
