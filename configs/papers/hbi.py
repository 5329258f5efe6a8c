"""HBI: Video-Text as Game Players: Hierarchical Banzhaf Interaction (Jin et al. 2023, arXiv 2303.14369).

Does:     token-wise InfoNCE, 1/2 (sum_t w_t max_v z_tv + sum_v w_v max_t z_tv), at levels of ever fewer tokens merged
          by DPC-kNN; at each a small network predicts, from a pair's products, the Banzhaf interactions E_S[f(S+t+v) +
          f(S) - f(S+t) - f(S+v)] of its tokens; further levels learn from the first one's softmaxes.
Files:    mmjax/losses/tokens_banzhaf.py, mmjax/losses/tokens_merge.py, mmjax/losses/tokens_levels.py,
          mmjax/objectives/tokens_levels.py
Differs:  from the paper: interactions are worked out in the step, from coalitions drawn anew, instead of by a network
          trained on them before; no attention block after a merge; the first level is a target without gradient. From
          its released code: coalitions are drawn as sets and averaged (there an index is mistaken for a mask, and each
          draw overwrites the last); tokens outside a coalition are left out, not counted as 0.
Command:  mmjax sweep --config=configs/papers/hbi.py --workdir=runs/papers/hbi
Cost:     about 25 s of one core for hbi, 12 s for plain (2 arms x 3 seeds).
Claim:    on the scenes of filip.py (1 of 500): with levels and interactions recall is higher than that of the same
          token-wise similarity alone.
Result:   series to text R@1: hbi 31.3 +- 1.0 %, plain 32.3 +- 0.4 %; text to series: 37.9 +- 0.4 and 38.3 +- 0.4 %.
Verdict:  does not hold: no difference, after 300 steps, of which plain needs 200. The scenes may be why: their things
          are independent, so that no group of tokens means more than its members do.
"""

from mmjax import config as c
from mmjax.experiments import recipes

# Six noisy patches of six things; a caption names three of them.
SCENES = "words=40,patches=6,named=3,noise=1"
TEST = recipes.scenes_to_find(SCENES)


def get_config(arg: str = ""):
    """`arg`: the arms of `get_sweep`; "full" for the paper's own recipe."""
    if arg == "full":
        return _full()
    config = c.default()
    recipes.scenes(config, SCENES, patches=6, context=4)
    recipes.token_heads(config, "series", "text")
    if arg == "":
        config.objectives.hbi = c.objective(
            "hbi", streams=("series_tokens", "text_tokens"), levels=((3, 3), (2, 2)), coalitions=16, width=8
        )
        config.evaluations.test = c.evaluation("token_retrieval", objective="hbi", **TEST)
    elif arg == "plain":
        config.objectives.hbi = c.objective("hbi", streams=("series_tokens", "text_tokens"), levels=(), interaction=0.0)
        config.evaluations.test = c.evaluation("token_retrieval", objective="hbi", **TEST)
    else:
        raise ValueError(f"unknown argument {arg!r}: none, 'plain' or 'full'")
    return config


def _full():
    """MSR-VTT from CLIP B/32 (`init_from`): 12 frames, batches of 128, 5 epochs, towers at a thousandth of the rate."""
    config = c.default()
    recipes.msr_vtt(config, batch_size=128, learning_rate=1e-4, tower_rate=0.001)
    config.objectives.hbi = c.objective("hbi", levels=((9, 24), (6, 16)))
    return config


def get_sweep():
    """The arms over three seeds."""
    return c.sweep(
        {
            "hbi": {},
            "plain": {"arg": "plain"},
        },
        baseline="plain",
        metrics=("val/test/series_to_text_R@1", "val/test/text_to_series_R@1"),
    )
