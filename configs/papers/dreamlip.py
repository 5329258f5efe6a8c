"""DreamLIP: Language-Image Pre-training with Long Captions (Zheng et al. 2024, arXiv 2403.17007).

Does:     K random sentences of a long caption, each contrasted with the image, mean over k; and each contrasted with
          the patches it speaks of: w = min-max(cos(t_k, patches)), zero below 1/patches, renormalised, g_k = sum w
          patch, InfoNCE of {g} and {t} over all B K pairs.
Files:    mmjax/losses/tokens_groups.py, mmjax/objectives/tokens_groups.py, and `sentences` of text streams
Differs:  from the paper: two scales, one for each loss; sentences that name the same may be negatives of each other, as
          there. From its released code: the paper's threshold 1/patches, not the default 0. `full` draws 4 sentences a
          step and its sizes are from memory.
Command:  mmjax sweep --config=configs/papers/dreamlip.py --workdir=runs/papers/dreamlip
Cost:     25 s (sentences) and 16 s (long) of one core a run (3 arms x 3 seeds).
Claim:    scenes of four patches with a sentence each; queries are the last sentence, which a caption cut at two
          sentences never has (1 of 500): random sentences give higher text-to-image recall than the caption cut short,
          and the grouping loss adds to it.
Result:   text to image (series) / image to text R@1: dreamlip 14.4 +- 1.1 / 15.1 +- 1.3 %, ungrouped 16.0 +- 1.4 / 17.3
          +- 1.8, the caption cut short (long) 11.7 +- 2.3 / 14.7 +- 0.4 (chance 0.2).
Verdict:  partly holds: random sentences find more in each of three seeds, by 0.2 to 7 points; the grouping loss adds
          nothing and costs 2 points. After 300 steps no difference to the caption cut short was shown. The same words
          stand in all sentences, so that a cut hides no word from training, only where it belongs.
"""

from mmjax import config as c
from mmjax.experiments import recipes

# Four patches of two things each, a sentence for each; of the whole caption two sentences fit the context.
SCENES = "words=160,patches=4,things=2,named=4,noise=0.3"


def get_config(arg: str = ""):
    """`arg`: "" for DreamLIP, "ungrouped" without its grouping loss, "long" for one long caption cut short, "full"."""
    if arg == "full":
        return _full()
    if arg not in ("", "ungrouped", "long"):
        raise ValueError(f"unknown argument {arg!r}: none, 'ungrouped', 'long' or 'full'")
    config = c.default()
    recipes.scenes(config, SCENES, patches=4, context=7)
    config.duration = "800 steps"
    config.data.captions = (("{sentences}", 1.0),)
    if arg == "long":
        config.objectives.long = c.objective("softmax", streams=("series", "text"))
    else:
        _sentences(config, 2, "series", grouping=0.0 if arg else 1.0)
    query = recipes.scenes_to_find(SCENES, "{last}")
    config.evaluations.test = c.evaluation("retrieval", streams=("series", "text"), **query)
    return config


def _sentences(config, count: int, image: str, **options):
    """`count` random sentences of the caption, each a text of its own, and the image's patches in the shared space."""
    texts = ("text", *(f"text_{n}" for n in range(2, count + 1)))
    for text in texts:
        config.streams[text] = "text"
        config.data.streams[text] = c.stream("text", sentences=1)
    config.heads.image_tokens = c.head("tokens", stream=image)
    config.objectives.dreamlip = c.objective("dreamlip", streams=(image, *texts), **options)


def _full():
    """ViT-B/16 on 3 million pictures with long captions, 32 epochs in batches of 1,024."""
    config = c.default()
    config.duration = "32 epochs"
    config.batch_size = 1024
    config.embed_dim = 512
    config.data.source = "data/cc3m-long/{00000..00299}.tar"
    config.data.tokenizer = "clip"
    config.data.context = 77
    config.data.image_size = 224
    config.data.threads = 16
    config.towers.image = c.tower("vit", "clip-B/16", image_size=224, **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-B/16", **recipes.LEAN)
    config.data.captions = (("{txt}", 1.0),)
    _sentences(config, 4, "image")
    config.optimizer.learning_rate = 5e-4
    config.optimizer.weight_decay = 0.5
    config.schedule.warmup = "2%"
    return config


def get_sweep():
    """The arms over three seeds."""
    return c.sweep(
        {
            "dreamlip": {},
            "ungrouped": {"arg": "ungrouped"},
            "long": {"arg": "long"},
        },
        baseline="long",
        metrics=("val/test/text_to_series_R@1", "val/test/series_to_text_R@1"),
    )
