"""Learning rate over steps: warm-up, a course, cool-down."""

import jax.numpy as jnp

from mmjax.durations import to_steps
from mmjax.errors import UserError


def build_schedule(config, total: int, examples: int):
    """The learning rate as a function of the step, from `config.schedule` and `config.optimizer.learning_rate`.

    Args:
        config: the experiment's config.
        total: steps of the run.
        examples: examples of an epoch, for durations in epochs.
    """

    def steps(key):
        return to_steps(
            config.schedule[key],
            batch_size=config.batch_size,
            examples=examples,
            total=total,
            where=f"config.schedule.{key}",
        )

    warmup, cooldown = steps("warmup"), steps("cooldown")
    if warmup + cooldown > total:
        raise UserError(
            f"warm-up of {warmup} and cool-down of {cooldown} steps do not fit into {total} steps",
            where="config.schedule.warmup, config.schedule.cooldown, config.duration",
        )
    course = COURSES[config.schedule.name]
    end, timescale = config.schedule.end, max(steps("timescale"), 1)

    def schedule(step):
        step = jnp.asarray(step, jnp.float32)
        done = jnp.maximum(step - warmup, 0.0)
        share = jnp.minimum(done / max(total - warmup - cooldown, 1), 1.0)
        up = jnp.minimum(step / warmup, 1.0) if warmup else 1.0
        down = jnp.clip((total - step) / cooldown, 0.0, 1.0) if cooldown else 1.0
        return config.optimizer.learning_rate * course(done, share, end, timescale) * up * down

    return schedule


# Factor of the peak after `done` steps since the warm-up, `share` of the way to the cool-down.
COURSES = {
    "cosine": lambda done, share, end, timescale: end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * share)),
    "linear": lambda done, share, end, timescale: 1 - (1 - end) * share,
    "constant": lambda done, share, end, timescale: jnp.ones_like(done),
    # 1/sqrt of the time since the warm-up, which counts as one timescale (Zhai et al. 2022, arXiv 2106.04560).
    "rsqrt": lambda done, share, end, timescale: jnp.minimum(jnp.sqrt(timescale / (done + timescale)), 1.0),
}
