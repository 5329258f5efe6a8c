"""What runs would cost, told without training: the dry run of a sweep."""

import math
from collections.abc import Sequence

import jax

from mmjax.data.mixture import open_data
from mmjax.errors import UserError
from mmjax.experiments.jobs import Job
from mmjax.training.flops import count_jaxpr_flops
from mmjax.training.load import experiment_of

HEADINGS = ("cell", "seeds", "steps", "batch", "parameters", "FLOPs a step", "FLOPs of all seeds")


def print_costs(jobs: Sequence[Job]) -> dict:
    """Print a line for each cell; one of its seeds is traced, for the others cost the same.

    FLOPs are those of training's matrix products and convolutions, on all devices; evaluations come on top.

    Returns:
        {"runs", "flops"}: how many runs, and their FLOPs altogether.

    Raises:
        UserError: a config that cannot be built, naming the cell.
    """
    seeds: dict[str, list[Job]] = {}
    for job in jobs:
        seeds.setdefault(job.cell, []).append(job)
    rows, total = [], 0
    for cell, group in seeds.items():
        steps, parameters, flops = _cost(group[0])
        total += flops * steps * len(group)
        numbers = (len(group), steps, group[0].config.batch_size, parameters)
        rows.append((cell, *(f"{n:,}" for n in numbers), f"{flops:.3g}", f"{flops * steps * len(group):.3g}"))
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    for cell, *numbers in (HEADINGS, *rows):
        padded = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
        print("  ".join((cell.ljust(widths[0]), *padded)))
    print(f"{len(jobs)} runs, {total:.3g} FLOPs in training")
    return {"runs": len(jobs), "flops": total}


def _cost(job: Job) -> tuple[int, int, int]:
    """Steps, parameters and FLOPs a step of a run."""
    try:
        experiment = experiment_of(job.config, examples=len(open_data(job.config.data)))
        flops = count_jaxpr_flops(experiment.trace_step().jaxpr.jaxpr)
    except UserError as error:
        raise UserError(error.what, where=f"cell {job.cell!r}; {error.where}", remedy=error.remedy) from error
    parameters = sum(math.prod(x.shape) for x in jax.tree.leaves(experiment.state.params))
    return experiment.total_steps, parameters, flops
