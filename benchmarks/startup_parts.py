"""The start of a run in the order of `mmjax train`, each part timed; prints {part: seconds}. Used by `startup`."""

import json
import sys
import time


class Laps:
    """Seconds between calls, by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def main():
    lap = Laps()
    import jax

    import mmjax.training.train

    lap("imports")
    from benchmarks.common import build, load_config

    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)  # as mmjax.cli
    config = load_config(sys.argv[1])
    pipeline, experiment = build(config)
    lap("config, data source, shapes of the state")
    state = jax.block_until_ready(experiment.init())
    lap("state: trace, compile, run")
    step, _ = experiment.compile_step()
    lap("step: trace, count FLOPs, compile or load")
    with mmjax.training.train.training_batches(pipeline, experiment.mesh, 0) as stream:
        batch = next(stream)
        lap("first batch")
        jax.block_until_ready(step(state, batch))
        lap("first step")
    print(json.dumps(lap.seconds))


if __name__ == "__main__":
    main()
