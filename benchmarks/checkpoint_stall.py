"""How long a checkpoint holds up training, and how much it slows the steps while it is written.

    python -m benchmarks.checkpoint_stall

Each round times some steps, one by one, then `Checkpoints.save`, then the steps that follow until the checkpoint is
whole on disk. The first save also makes the copying program.
"""

import os
import tempfile
import time
from pathlib import Path

import jax

from benchmarks.common import arguments, build, load_config, publish, ratios, start_as_train, summary
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.train import training_batches

TARGETS = {"later_save_to_step": 0.1}


class Trainer:
    """The bare step on one ready batch."""

    def __init__(self, config):
        pipeline, experiment = build(config)
        with training_batches(pipeline, experiment.mesh, 0) as stream:
            self._batch = next(stream)
        self.state, (self._step, _) = experiment.init(), experiment.compile_step()

    def step(self) -> float:
        """Seconds of one step."""
        begin = time.perf_counter()
        self.state, metrics = self._step(self.state, self._batch)
        jax.block_until_ready((self.state, metrics))
        return time.perf_counter() - begin


def one_round(trainer: Trainer, checkpoints: Checkpoints, count: int) -> dict:
    """Seconds of `count` steps before, of the save, and of the steps until the checkpoint is whole."""
    before = [trainer.step() for _ in range(count)]
    whole = checkpoints.folder / str(int(trainer.state.step))
    begin = time.perf_counter()
    checkpoints.save(trainer.state)
    save, after = time.perf_counter() - begin, [trainer.step()]
    while not whole.exists():  # it gets its name once all of it is written
        after.append(trainer.step())
    checkpoints.wait()
    return {"before": before, "save": save, "after": after}


def main():
    args, load = arguments(__doc__, rounds=8, steps=20), os.getloadavg()
    start_as_train()
    trainer = Trainer(load_config(args.config))
    for _ in range(3):
        trainer.step()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        rounds = [one_round(trainer, checkpoints, args.steps) for _ in range(args.rounds)]
        checkpoints.close()
    publish("checkpoint_stall", args, {"targets": TARGETS, **result(trainer.state, rounds)}, load)


def result(state, rounds: list[dict]) -> dict:
    """The rounds told in seconds and in steps."""
    steps = [summary(r["before"])["median"] for r in rounds]
    saves = [r["save"] for r in rounds]
    extra = [r["save"] + sum(r["after"]) - len(r["after"]) * s for r, s in zip(rounds, steps, strict=True)]
    return {
        "state_bytes": sum(x.nbytes for x in jax.tree.leaves(state)),
        "step_seconds": summary([s for r in rounds for s in r["before"]]),
        "first_save_seconds": saves[0],
        "first_save_to_step": saves[0] / steps[0],
        "later_save_seconds": summary(saves[1:]),
        "later_save_to_step": ratios(saves[1:], steps[1:]),
        "save_and_next_step_to_step": ratios([r["save"] + r["after"][0] for r in rounds[1:]], steps[1:]),
        "steps_while_writing": summary([len(r["after"]) for r in rounds[1:]]),
        "slowdown_while_writing": ratios([summary(r["after"])["median"] for r in rounds[1:]], steps[1:]),
        "later_save_whole_cost_in_steps": ratios(extra[1:], steps[1:]),
    }


if __name__ == "__main__":
    main()
