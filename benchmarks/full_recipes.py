"""What every paper's full recipe costs on TPUs: `mmjax plan` of each configs/papers/NAME.py:full (extra `plan`).

python -m benchmarks.full_recipes --output=benchmarks/results/full_recipes.json [NAME ...]
python -m benchmarks.full_recipes --table --output=benchmarks/results/full_recipes.json

A recipe is compiled for 16 chips of v5e, for 4 if its batch does not divide by 16, and for a larger slice where it does
not fit. Recipes that the output holds already, unchanged since, are left as they are.
"""

import argparse
import hashlib
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from benchmarks.common import ROOT, load_config, machine, rounded
from mmjax import config as config_lib
from mmjax.plan.plan import bill, compile_step
from mmjax.plan.roofline import longest
from mmjax.plan.topology import parse_topology

PAPERS = ROOT / "configs" / "papers"
SLICES = ("v5e:2x2", "v5e:4x4", "v5e:8x8", "v5e:16x16")
# Examples of an epoch where a recipe counts in epochs; it scales days and schedule, never the step.
EXAMPLES = 1_000_000
# How the table calls what a time is bound by.
BOUNDS = {"compute": "FLOPs", "hbm": "HBM", "interconnect": "links"}


def full_recipe(name: str):
    """The config of a paper's full recipe; XBT's, which needs another run, with CLIP B/32's as that."""
    if name != "xbt":
        return load_config(f"configs/papers/{name}.py:full")
    old = Path(tempfile.gettempdir()) / "mmjax-plan-clip-b32"
    old.mkdir(exist_ok=True)
    (old / "config.json").write_text(config_lib.to_json(full_recipe("dbnorm")))
    return load_config(f"configs/papers/xbt.py:full,old={old}")


def digest(name: str) -> str:
    """Of what a paper's full recipe says beside the defaults; a new option that is off by default changes none."""
    defaults = dict(config_lib.flatten(config_lib.default()))
    config = config_lib.flatten(load_config(f"configs/papers/{name}.py:full"))
    said = sorted(f"{key}: {v!r}" for key, v in config if (v != defaults[key] if key in defaults else v))
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def slices(batch_size: int) -> list[str]:
    """The slices to try, in order."""
    dividing = [name for name in SLICES if batch_size % parse_topology(name).chips == 0]
    return [name for name in dividing if parse_topology(name).chips >= 16] or dividing[-1:]


def planned(name: str) -> dict:
    """What the first slice on which a recipe fits says of it, and which did not fit; or the last refusal."""
    config = full_recipe(name)
    config_lib.validate(config)
    refused = {}
    for topology in slices(config.batch_size):
        step = compile_step(config, topology, EXAMPLES)
        if step["fits"]:
            break
        refused[topology] = step["used"]
    told = {"recipe": digest(name), "batch_size": config.batch_size, "microbatches": config.microbatches}
    told |= {"topology": topology, "refused": refused, **{key: step[key] for key in ("fits", "used", "available")}}
    if not step["fits"]:
        return told
    billed = bill(step, config.batch_size, parse_topology(topology))
    return told | {
        "step_seconds": billed["time"]["overlapped"],
        "bound_by": BOUNDS[longest(billed["time"])],
        "mfu_bound": billed["mfu_bound"],
        "not_counted": step["unknown"],
    }


def table(recipes: dict[str, dict]) -> str:
    """The recipes as rows of Markdown, and below them what could not be counted."""
    head = (
        "| recipe | rows a step | micro-batches | slice | GiB a chip | a step at least, ms | bound by | MFU at most |\n"
    )
    rows = "".join(_row(name, recipes[name]) for name in sorted(recipes))
    told = [
        f"- {name}, not counted: {what}\n" for name in sorted(recipes) for what in recipes[name].get("not_counted", ())
    ]
    return head + "|---|---|---|---|---|---|---|---|\n" + rows + "\n" * bool(told) + "".join(told)


def _row(name: str, recipe: dict) -> str:
    sizes = f"| {name} | {recipe['batch_size']:,} | {recipe['microbatches']} | {recipe['topology']} "
    sizes += f"| {recipe['used'] / 2**30:.2f} of {recipe['available'] / 2**30:.2f} "
    if not recipe["fits"]:
        return sizes + "| does not fit | | |\n"
    return sizes + f"| {recipe['step_seconds'] * 1e3:,.1f} | {recipe['bound_by']} | {recipe['mfu_bound']:.0%} |\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="papers' configs; all by default")
    parser.add_argument("--output", type=Path, required=True, help="JSON that is read, added to and written")
    parser.add_argument("--table", action="store_true", help="print the rows of docs/plan.md and compile nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at a time")
    args = parser.parse_args()
    found = json.loads(args.output.read_text()) if args.output.exists() else {"benchmark": "full_recipes"}
    recipes = found.setdefault("recipes", {})
    if args.table:
        print(table(recipes), end="")
        return

    names = args.names or sorted(path.stem for path in PAPERS.glob("*.py"))
    changed = [name for name in names if recipes.get(name, {}).get("recipe") != digest(name)]
    with ThreadPoolExecutor(args.jobs) as pool:
        plans = {pool.submit(planned, name): name for name in changed}
        for plan in as_completed(plans):
            name = plans[plan]
            recipes[name] = rounded(plan.result())
            found["machine"] = machine()
            args.output.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
            print(_row(name, recipes[name]), end="", flush=True)


if __name__ == "__main__":
    main()
