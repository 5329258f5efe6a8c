"""open_clip's webdataset loader, timed on request; run by a Python that has open_clip_torch and webdataset, not mmjax.

As `open_clip_train` loads with --dataset-type webdataset, flips put in: random resized crop by Pillow (bicubic), flip,
to float, normalised, CLIP's tokens.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import open_clip
import torch
from open_clip.transform import image_transform
from open_clip_train.data import get_wds_dataset
from torchvision.transforms import PILToTensor, RandomHorizontalFlip

sys.path.append(str(Path(__file__).parents[1]))
from mmjax.bench.processes import processor_seconds, resident_mib, rest  # noqa: E402  it needs the standard library alone

PREFETCH_FACTOR = 2  # batches that torch's DataLoader keeps ready for each worker
ENDLESS = 10**9  # samples of an epoch: the tars again and again, without a pause between


def main(tars: list[str], batches: int, batch_size: int, workers: int, floats: bool) -> None:
    torch.set_num_threads(1)
    transform = image_transform(224, is_train=True)
    transform.transforms.insert(1, RandomHorizontalFlip())
    if not floats:
        transform.transforms[3:] = [PILToTensor()]
    args = SimpleNamespace(
        train_data="::".join(tars),
        train_num_samples=ENDLESS,
        train_data_upsampling_factors=None,
        seed=0,
        batch_size=batch_size,
        workers=workers,
        world_size=1,
    )
    info = get_wds_dataset(args, transform, is_train=True, tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    stream = iter(info.dataloader)

    def load() -> dict:
        """Seconds of wall and processor for the next `batches`."""
        for _ in range(PREFETCH_FACTOR * max(1, workers) + 1):  # those that waited
            next(stream)
        begin, processor = time.perf_counter(), processor_seconds()
        for _ in range(batches):
            images, texts = next(stream)
        seconds, processor = time.perf_counter() - begin, processor_seconds() - processor
        rest()
        assert images.shape == (batch_size, 3, 224, 224) and texts.shape == (batch_size, 77)
        rates = {"samples": batches * batch_size, "seconds": seconds, "cpu_seconds": processor}
        return rates | {"resident_mib": resident_mib()}

    versions = {name: metadata.version(name) for name in ("open_clip_torch", "webdataset", "torch", "pillow")}
    answers = {"about": lambda: versions, "load": load}
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
