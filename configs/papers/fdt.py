"""FDT: From Patch and Token Embeddings to Finite Discrete Tokens (Chen et al. 2023, arXiv 2303.14865).

Does:     both sides are sparse mixtures of one learned codebook C: z = sum_c a_c C_c, a = sparsemax_c(max_p <x_p, C_c>
          / (sqrt(D) T)); InfoNCE of their cosines.
Files:    mmjax/losses/tokens_codebook.py, mmjax/objectives/tokens.py, mmjax/evaluation/code_overlap.py
Differs:  from the paper: the projection of tokens is linear and of unit norm. From its released code: padding is left
          out of the maximum, where the code multiplies it by 0, which beats negative products; products with the
          codebook are made some codes at a time. T was 1000 in the released configuration; here, for products of unit
          tokens, 2, and in `full` 1, which was not tried at that size. The recipe of `full` is from memory of the
          paper.
Command:  mmjax sweep --config=configs/papers/fdt.py --workdir=runs/papers/fdt
Cost:     85 s on 2 cores (2 arms x 3 seeds).
Claim:    on the scenes of filip.py: codes in use by the two sides of a matching pair overlap more than twice as much
          (Jaccard) as those of other pairs, with a small share of all codes in use; with softmax every code is in use.
Result:   overlap of matching pairs 0.193 +- 0.016, of others 0.101 +- 0.023 (2.1, 2.1 and 1.7 times in seeds 0, 1, 2),
          6.5 +- 0.5 % of the codes in use; with softmax 1, 1 and 100 %. Image (series) to text R@1 28.8 +- 0.9 %, with
          softmax 27.3 +- 4.1.
Verdict:  partly holds: sparse codes, shared by matching pairs 1.9 times as much as by others; retrieval is as good as
          with softmax, where every code is in use.
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
    config.duration = "800 steps"
    recipes.token_heads(config, "series", "text")
    if arg == "":
        config.objectives.fdt = c.objective("fdt", streams=("series_tokens", "text_tokens"), codes=256, softness=2.0)
    elif arg == "softmax":
        config.objectives.fdt = c.objective(
            "fdt", streams=("series_tokens", "text_tokens"), codes=256, softness=2.0, assign="softmax"
        )
    else:
        raise ValueError(f"unknown argument {arg!r}: none, 'softmax' or 'full'")
    config.evaluations.test = c.evaluation("token_retrieval", objective="fdt", **TEST)
    config.evaluations.codes = c.evaluation("code_overlap", **TEST)
    return config


def _full():
    """CC3M: ViT-B/32, 16,384 codes, 32 epochs in batches of 4,096."""
    config = c.default()
    config.duration = "32 epochs"
    config.batch_size = 4096
    config.embed_dim = 512
    config.data.source = "data/cc3m/{00000..00299}.tar"
    config.data.tokenizer = "clip"
    config.data.context = 77
    config.data.image_size = 224
    config.data.threads = 16
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-B/32", **recipes.LEAN)
    recipes.token_heads(config, "image", "text")
    config.objectives.fdt = c.objective("fdt")
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 0.2
    config.schedule.warmup = "2%"
    return config


def get_sweep():
    """The arms over three seeds."""
    return c.sweep(
        {
            "fdt": {},
            "softmax": {"arg": "softmax"},
        },
        baseline="softmax",
        metrics=("val/codes/matched_overlap", "val/codes/other_overlap", "val/codes/codes_in_use"),
    )
