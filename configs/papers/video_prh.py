"""video-PRH: Dynamic Reflections: Probing Video Representations with Text Alignment (Zhu et al. 2025,
arXiv 2511.02767).

Does:     towers that never saw one another are compared by the share of k nearest neighbours that they have in common,
          as n frames and m captions of a thing are averaged; score = S - (a n^-p + b m^-q) is fitted to it.
Files:    mmjax/evaluation/platonic.py, mmjax/evaluation/saturation.py (kind "platonic")
Differs:  from the paper: up to three pictures of a concept in different styles and one caption in each of six languages
          stand for frames and captions, S is held to 1 at most. From the code of the metric (platonic-rep): vectors are
          of unit norm before neighbours are sought.
Command:  mmjax sweep --config=configs/papers/video_prh.py --workdir=runs/papers/video_prh
Cost:     3 minutes on 2 cores (3 arms x 3 seeds, about 20 s each).
Claim:    neighbours agree beyond chance (k / (N - 1) = 1.2 %) between towers trained apart, more so with more pictures
          and captions at test time, by a law that saturates (R^2 > 0.98 in the paper); more than between untrained
          towers. Towers trained together show what the pictures allow.
Result:   mutual k-NN of one picture and caption, then of three and six: apart 11.3 +- 0.3 and 13.5 +- 0.2 %, R^2 of the
          fit .965 +- .015; untrained 7.9 +- 0.1 and 7.1 +- 0.3, no fit (R^2 .07); together 14.0 +- 0.5 and 22.5 +- 0.7,
          R^2 .975 +- .003. CKNNA apart .187, untrained .137, together .241. The limit is not determined this far from
          it: .16, .17, .90 for towers apart.
Verdict:  partly holds: towers apart agree beyond chance and untrained towers, and more with more pictures and captions;
          a fifth more here against twice as much in the paper, and the law fits a little less well.
"""

from mmjax import config as c
from mmjax.experiments import recipes

LANGUAGES = ("en", "de", "es", "fr", "ja", "ru")
PAIRS = {"image": ("image", "image_2"), "text": ("text", "text_2")}


def get_config(arg: str = ""):
    """`arg`: apart ("": towers that never meet), untrained or together on the emoji; "full" for towers of ViT-L."""
    arg = arg or "apart"
    if arg not in ("apart", "untrained", "together", "full"):
        raise ValueError(f"unknown argument {arg!r}: apart, untrained, together or full")
    config = c.default()
    for streams in PAIRS.values():
        config.streams[streams[1]] = streams[0]
    if arg == "full":
        _full(config)
    else:
        _emoji(config)
        config.evaluations.alignment = c.evaluation(
            "platonic", source="emoji:train", views=3, captions=("{label}, {tags}",), languages=LANGUAGES
        )
    _objectives(config, together=arg == "together")
    if arg == "untrained":
        config.optimizer.learning_rate = 0.0
    return config


def _objectives(config, together):
    """Two pictures of a concept find one another, and two of its captions; or pictures find captions."""
    if together:
        config.objectives.image_text = c.objective("softmax", temperature=0.1)
        return
    for name, streams in PAIRS.items():
        config.objectives[name] = c.objective("softmax", streams=streams, temperature=0.1)


def _emoji(config):
    """Pictures of 16 x 16 pixels in three styles; captions in six languages."""
    recipes.emoji(config)
    config.batch_size = 128
    config.data.captions = (("{label}, {tags}", 1.0),)
    config.data.languages = LANGUAGES
    config.data.tokenizer = "emoji-multilingual"
    config.towers.text = c.tower("text", vocab_size=4096, context=16, width=64, depth=0, heads=2, pool="mean")


def _full(config):
    """Towers of ViT-L, each trained on its own modality."""
    config.duration = "1.28B examples"
    config.batch_size = 4096
    config.embed_dim = 768
    config.data.source = "data/{00000..39999}.tar"
    config.data.tokenizer = "clip"
    config.data.image_size = 224
    config.data.context = 77
    config.data.threads = 16
    config.towers.image = c.tower("vit", "clip-L/14", image_size=224, **recipes.LEAN)
    config.towers.text = c.tower("text", "clip-L/14", **recipes.LEAN)
    config.optimizer.learning_rate = 1e-3
    config.schedule.warmup = "2000 steps"


def get_sweep():
    """Towers that never met, against untrained ones and ones trained together."""
    return c.sweep(
        {name: {"arg": name} for name in ("apart", "untrained", "together")},
        baseline="untrained",
        metrics=(
            "val/alignment/mutual_knn_1x1",
            "val/alignment/mutual_knn_3x1",
            "val/alignment/mutual_knn_1x6",
            "val/alignment/mutual_knn_3x6",
            "val/alignment/fit_r2",
            "val/alignment/limit",
        ),
    )
