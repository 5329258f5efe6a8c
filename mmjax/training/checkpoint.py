"""Checkpoints: whole state, asynchronous, atomic, verified by a digest of every array.

The digest is computed on the devices from the arrays' bits, so it costs no copy, does not depend on mesh or file
format, and finds a file that was damaged after it was written.
"""

import contextlib
import queue
import shutil
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from mmjax.errors import UserError
from mmjax.mesh import path_name


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
        folder: where they lie; made if need be.
        keep: newest checkpoints kept.
        best: metric whose best checkpoint is kept as well; empty: none.
        best_mode: "max" or "min".
        read_only: leave everything there as it is, so that a run which is going on is not disturbed.
    """

    def __init__(
        self, folder: str | Path, *, keep: int = 2, best: str = "", best_mode: str = "max", read_only: bool = False
    ):
        self.folder = Path(folder).absolute()
        policies = [checkpoint_managers.LatestN(keep)]
        if best:
            policies.append(
                checkpoint_managers.BestN(
                    get_metric_fn=lambda metrics: metrics[best],
                    reverse=best_mode == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
            cleanup_tmp_directories=not read_only,
            create=not read_only,
        )
        self._best, self._read_only = best, read_only
        self._manager = ocp.CheckpointManager(self.folder, options=options)
        self._writer = _Writer() if jax.process_count() == 1 else None

    def steps(self) -> list[int]:
        """Steps of the whole checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, state, metrics: dict | None = None) -> None:
        """Start to write `state`; training goes on while a copy of it is written.

        Args:
            state: the TrainState; its step names the checkpoint.
            metrics: results at this step, of which `best` is remembered.

        Raises:
            UserError: if this or an earlier checkpoint could not be written (disk full, no permission).
        """
        copy = _copy(state)
        # On several devices the digest communicates, and such programs must start in the same order everywhere: here.
        digest = _digest(copy) if jax.device_count() > 1 else None
        best = {self._best: metrics[self._best]} if self._best and self._best in (metrics or {}) else None
        if self._writer:
            self._writer.put(lambda: self._write(copy, digest, best))
        else:
            self._write(copy, digest, best)

    def wait(self) -> None:
        """Return when everything saved so far is on disk, or raise what kept it from there."""
        if self._writer:
            self._writer.wait()
        self._wait_for_manager()

    def close(self) -> None:
        """Finish writing and release threads."""
        try:
            self.wait()
        finally:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # `wait` has told of it
                self._manager.close()

    def restore(self, abstract_state, step: int | None = None, log=print):
        """The state of `step`, or of the newest checkpoint that is whole; None where there is none.

        A damaged checkpoint is named, moved aside to `damaged/` (nothing is lost; where read-only, it stays) and the
        one before it used; but one that was asked for by its `step` raises instead.

        Args:
            abstract_state: TrainState of ShapeDtypeStructs with shardings; any mesh.
            step: which checkpoint; None: the newest.
            log: called with a line for each damaged checkpoint.
        """
        candidates = reversed(self.steps()) if step is None else [self._known(step)]
        for candidate in candidates:
            try:
                return self._read(candidate, abstract_state)
            except Exception as error:  # orbax and tensorstore raise many kinds for a damaged file
                reason = _reason(error)
                if step is not None:
                    raise UserError(
                        f"checkpoint {step} is damaged: {reason}", where=str(self.folder / str(step))
                    ) from error
                where = "" if self._read_only else f" and is put aside in {self._put_aside(candidate)}"
                log(f"checkpoint {candidate} is damaged{where}: {reason}")
        return None

    def _known(self, step: int) -> int:
        if step not in self.steps():
            known = ", ".join(map(str, self.steps())) or "none"
            raise UserError(f"no checkpoint of step {step}", where=str(self.folder), remedy=f"steps here: {known}")
        return step

    def _read(self, step: int, abstract_state):
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract_state), digest=ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=args)
        found = _as_dict(_digest(restored.state))
        wrong = [name for name, value in restored.digest.items() if found.get(name) != value]
        if wrong or found.keys() != restored.digest.keys():
            raise ValueError(f"the digest of {(wrong or ['the tree'])[0]} does not match what was saved")
        return restored.state

    def _write(self, state, digest, metrics) -> None:
        digest = ocp.args.JsonSave(_as_dict(digest or _digest(state)))
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), digest=digest)
        try:
            self._manager.save(int(state.step), args=args, metrics=metrics)
        except (OSError, ValueError, RuntimeError) as error:
            raise _cannot_write(self.folder, error) from error
        if self._writer:
            self._wait_for_manager()

    def _wait_for_manager(self) -> None:
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except (OSError, ValueError, RuntimeError) as error:
            raise _cannot_write(self.folder, error) from error

    def _put_aside(self, step: int) -> Path:
        aside = self.folder.parent / "damaged" / str(step)
        if jax.process_index() == 0:
            aside.parent.mkdir(exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / str(step)).rename(aside)
        multihost_utils.sync_global_devices("damaged checkpoint put aside")
        self._manager.reload()
        return aside


class _Writer:
    """A thread that writes one checkpoint after another, so that a save costs the loop no more than a copy."""

    def __init__(self):
        self._jobs: queue.Queue = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def put(self, job) -> None:
        self._raise()
        self._jobs.put(job)

    def wait(self) -> None:
        self._jobs.join()
        self._raise()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except BaseException as error:  # kept for the thread that saves or waits next
                self._error = error
            finally:
                self._jobs.task_done()

    def _raise(self) -> None:
        if self._error:
            error, self._error = self._error, None
            raise error


def _reason(error: Exception) -> str:
    """The first line of an error; tensorstore puts long paths before what went wrong, so the end is kept."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 300 else f"{line[:100]} ... {line[-200:]}"


def _cannot_write(folder: Path, error: Exception) -> UserError:
    return UserError(
        f"a checkpoint could not be written: {_reason(error)}",
        where=str(folder),
        remedy="make room or mend permissions and start again: the checkpoint before it is whole",
    )


@jax.jit
def _copy(state):
    return jax.tree.map(jnp.copy, state)


@jax.jit
def _digest(state):
    return jax.tree.map(_checksum, state)


def _checksum(x):
    """A uint32 of an array's bits and their places; integer sums, so the same on every mesh."""
    bits = x if x.dtype == bool else jax.lax.bitcast_convert_type(x, _UNSIGNED[x.dtype.itemsize])
    place = jax.lax.iota(jnp.uint32, x.size).reshape(x.shape)
    mixed = (bits.astype(jnp.uint32) + jnp.uint32(1)) * (place * jnp.uint32(2654435761) + jnp.uint32(1))
    return jnp.sum(mixed, dtype=jnp.uint32)


_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def _as_dict(sums) -> dict[str, int]:
    return {path_name(path): int(x) for path, x in jax.tree_util.tree_leaves_with_path(sums)}
