"""Strict surroundings for every test: 8 CPU devices, no silent dtype or rank promotion, no network."""

import os
import tempfile

# Also for the processes that tests start. Programs compiled once are loaded by the tests that need the same ones.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"mmjax-tests-{os.getuid()}"))
# Most of a small test's time is compiling: leave out what makes code fast.
FLAGS = " --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + FLAGS

import socket  # noqa: E402  after the environment, which JAX reads when it is imported

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Programs of one file are of no use to the next, and hundreds of them take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that leaves this machine is a mistake; loopback stays open."""
    connect = socket.socket.connect

    def local_only(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise OSError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
