"""What a command does before its work: settings of the process, other processes, compiled programs kept on disk."""

import logging
import os
import sys

from mmjax.errors import UserError


def tune_allocator() -> None:
    """Start again under allocator settings that a CPU run gains from; they only work set before the process starts."""
    accelerators = ("/dev/nvidiactl", "/dev/accel0", "/dev/vfio")
    if os.environ.get("JAX_PLATFORMS") != "cpu" and any(map(os.path.exists, accelerators)):
        return
    if not sys.platform.startswith("linux") or "GLIBC_TUNABLES" in os.environ:
        return
    settings = {
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        # Buffers up to this come from the heap and are used again; larger ones go back to the system each time. In the
        # heap a step's gigabyte, once a small thing lies in it, fits no more, and every step would take another one.
        "MALLOC_MMAP_THRESHOLD_": str(128 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "MALLOC_ARENA_MAX": "1",
    }
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | settings)


def start_jax(values) -> None:
    """Join the other processes if there are any, and keep compiled programs for the next run."""
    import jax

    if not values.debug:
        # Of a write that fails, orbax logs the traceback and raises it too; what it leaves unfinished fails after that.
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        sys.unraisablehook = lambda _: None
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mmjax", "compiled")
    jax.config.update("jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR", cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    if "coordinator" not in values or not values.coordinator:
        return
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    named = (values.coordinator, values.num_processes, values.process_id)
    try:
        jax.distributed.initialize(*(() if values.coordinator == "auto" else named))
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"cannot join the other processes: {str(error).strip()}",
            where=f"--coordinator={values.coordinator}",
            remedy="give --coordinator, --num_processes and --process_id alike to every process, or see launch/",
        ) from error
