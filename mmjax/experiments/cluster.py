"""The verb cluster: the groups of a further stage, from the embeddings of the stage before."""

from pathlib import Path

import jax
import numpy as np

from mmjax.data.groups import load_groups
from mmjax.data.mixture import open_data
from mmjax.errors import UserError
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.suite import Suite, weights
from mmjax.losses.clusters import far_apart, kmeans
from mmjax.rng import step_key
from mmjax.training.load import load

ROUNDS = 50


def cluster_run(workdir: str, *, stream: str, clusters: int, least: int, out: str) -> dict:
    """Write a group number for every training sample of a run, for `config.data.groups` of the next one.

    Groups are clusters of a stream's embeddings, k-means, within the groups that the run itself was trained in: those
    of stage s are the values of all assignments up to it (MCL, Zhang et al. 2024, arXiv 2402.11816). The samples of a
    group smaller than `least` go, one by one, to the remaining group whose mean embedding is nearest.

    Args:
        workdir: folder of the run.
        stream: a stream or head of the run, of which every sample has one.
        clusters: number of clusters.
        least: smallest size of a group; at least the batch size of the next run.
        out: .npy file to write.

    Returns:
        {"out", "samples", "groups", "smallest"}.

    Raises:
        UserError: the run was trained on a mixture or a selection, samples lack the stream, no group is large enough,
            or `out` is no .npy.
    """
    if Path(out).suffix != ".npy":
        raise UserError(f"cannot write {out!r}", where="--out", remedy="end its name in .npy")
    experiment, state = load(workdir)
    config, source = experiment.config, open_data(experiment.config.data)
    data = config.data
    if data.mixture or data.where or data.unique or data.uids:
        raise UserError(
            "the run was trained on a mixture or a selection", where=workdir, remedy="use all of one source"
        )
    embedded = Suite(experiment).embeddings(weights(state)["val"]).rows(data.source, stream)
    x, records = first_rows(embedded)
    if len(records) != len(source):
        said = f"{len(source) - len(records)} of {len(source)} samples have no {stream!r}"
        raise UserError(said, where=workdir, remedy="name a stream that all have")
    labels = _clusters(x, clusters, config.seed)
    if data.groups:
        labels = _numbered(np.stack([load_groups(data.groups, len(source)), labels], axis=1))
    groups = merged(x, labels, least)
    np.save(out, groups)
    sizes = np.bincount(groups)
    return {"out": str(out), "samples": len(groups), "groups": len(sizes), "smallest": int(sizes.min())}


def _clusters(x, count, seed) -> np.ndarray:
    @jax.jit
    def find(x):
        start = far_apart(step_key(seed, "cluster", 0), x, count)
        return kmeans(x, start, iterations=ROUNDS)[0]

    return np.asarray(find(x))


def _numbered(rows) -> np.ndarray:
    """(N,) numbers from 0 of the distinct rows of (N, K)."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def merged(x: np.ndarray, labels: np.ndarray, least: int) -> np.ndarray:
    """(N,) int64 labels from 0, those of groups with fewer than `least` rows of x (N, D) replaced by the nearest's.

    Raises:
        UserError: no group has as many.
    """
    numbers, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    large = np.flatnonzero(sizes >= least)
    if not len(large):
        said = f"the largest of {len(numbers)} groups has {sizes.max()} samples, fewer than {least}"
        raise UserError(said, where="--least", remedy="ask for fewer clusters, or a smaller least size")
    means = np.stack([x[labels == g].mean(0) for g in large])
    small = np.isin(labels, large, invert=True)
    nearest = np.argmin(np.square(means).sum(1)[None] - 2 * x[small] @ means.T, axis=1)
    labels = np.where(small, -1, np.searchsorted(large, labels))
    labels[small] = nearest
    return labels.astype(np.int64)
