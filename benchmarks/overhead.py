"""What a step costs in the training loop, against the same compiled step alone.

    python -m benchmarks.overhead

One real run (`mmjax.training.loop.fit` with pipeline, metrics and progress) goes on for `--rounds` rounds. In each it
is timed over a block of steps, then pauses at the place of an evaluation while the same step is timed in two more
blocks: `bare`, on one ready batch while the pipeline stands still, and `fed`, on that batch while the pipeline makes a
batch for each step. So loop / bare is what a user pays, fed / bare the processor time that reading and augmenting
take from the step, and loop / fed what the loop itself adds.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax

from benchmarks.common import arguments, build, load_config, publish, ratios, start_as_train, summary
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.loop import fit
from mmjax.training.progress import Progress
from mmjax.training.train import training_batches

TARGETS = {"loop_to_bare": 1.03}
SETTLE = 12  # steps that use up the batches which waited while a pipeline stood still
FILL = 1.0  # seconds in which a pipeline that nobody reads from comes to rest


class Rounds:
    """In the place of the evaluations: times `block` steps of the loop, then of the bare and of the fed step."""

    def __init__(self, experiment, stream, block: int):
        self.wall: dict[str, list[float]] = {"loop": [], "bare": [], "fed": []}
        self.processor: dict[str, list[float]] = {"loop": [], "bare": [], "fed": []}
        self._block, self._stream = block, stream
        (self._step, _), self._state = experiment.compile_step(), experiment.init()
        self._batch = next(stream)
        self._alone(1, lambda: None)

    def __call__(self, state, done: int) -> dict:
        place = done % (SETTLE + self._block)
        if place == SETTLE:
            jax.block_until_ready(state)
            self._begin = clocks()
        elif place == 0:
            jax.block_until_ready(state)
            self._note("loop")
            time.sleep(FILL)
            self._begin = clocks()
            self._alone(self._block, lambda: None)
            self._note("bare")
            self._alone(SETTLE, lambda: next(self._stream))
            self._begin = clocks()
            self._alone(self._block, lambda: next(self._stream))
            self._note("fed")
        return {}

    def _note(self, name: str) -> None:
        """A block of steps is over."""
        for times, begin, end in zip((self.wall, self.processor), self._begin, clocks(), strict=True):
            times[name].append((end - begin) / self._block)

    def _alone(self, count: int, before_step: Callable) -> None:
        """`count` steps on the ready batch, with something done before each."""
        for _ in range(count):
            before_step()
            self._state, metrics = self._step(self._state, self._batch)
        jax.block_until_ready((self._state, metrics))


def clocks() -> tuple[float, float]:
    """Seconds of wall time, and of processor time of all threads of this process."""
    return time.perf_counter(), time.process_time()


def main():
    args, load = arguments(__doc__, rounds=8, block=50), os.getloadavg()
    start_as_train()
    steps = args.rounds * (SETTLE + args.block)
    config = load_config(args.config, duration=f"{steps} steps", **{"checkpoint.every": "100%"})
    pipeline, experiment = build(config)
    with training_batches(pipeline, experiment.mesh, steps) as other:
        rounds = Rounds(experiment, other, args.block)
        loop(experiment, pipeline, rounds, steps)
        data = data_alone(other, args.block)
    wall = rounds.wall
    result = {
        "targets": TARGETS,
        "steps_of_a_block": args.block,
        "log_every": config.log.every,
        "step_seconds": {name: summary(values) for name, values in wall.items()},
        "step_processor_seconds": {name: summary(values) for name, values in rounds.processor.items()},
        "loop_to_bare": ratios(wall["loop"], wall["bare"]),
        "fed_to_bare": ratios(wall["fed"], wall["bare"]),
        "loop_to_fed": ratios(wall["loop"], wall["fed"]),
        "data": data,
    }
    publish("overhead", args, result, load)


def loop(experiment, pipeline, rounds: Rounds, steps: int) -> None:
    """The real loop, with `rounds` in the place of the evaluations; its one checkpoint comes after the last block."""
    with tempfile.TemporaryDirectory() as folder, Progress(0, steps) as progress:
        checkpoints = Checkpoints(Path(folder) / "checkpoints")
        fit(
            experiment,
            experiment.init(),
            lambda start: training_batches(pipeline, experiment.mesh, start),
            workdir=Path(folder),
            checkpoints=checkpoints,
            evaluate=rounds,
            progress=progress,
        )
        checkpoints.close()


def data_alone(stream, count: int) -> dict[str, float]:
    """Wall and processor seconds of a batch when nothing else runs."""
    for _ in range(SETTLE):
        next(stream)
    begin = clocks()
    for _ in range(count):
        next(stream)
    wall, processor = (end - start for start, end in zip(begin, clocks(), strict=True))
    return {"batch_wall_seconds": wall / count, "batch_processor_seconds": processor / count}


if __name__ == "__main__":
    main()
