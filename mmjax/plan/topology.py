"""TPU topologies by name, and a child process that compiles for them.

Only the child loads libtpu: it is a large library that speaks on standard error, ends its process where it finds itself
wrong, and must not be loaded where a real TPU is in use.
"""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

from mmjax.errors import UserError
from mmjax.plan.chips import TPUS

INSTALL = "pip install 'mmjax[plan]'"
GOOD_NAMES = "write KIND:SIDES with one of " + ", ".join(f"{kind}:{tpu.example}" for kind, tpu in TPUS.items())


class Topology(NamedTuple):
    """A slice of TPU chips: its kind, a key of `TPUS`, and how many chips it is long along each axis."""

    kind: str
    sides: tuple[int, ...]

    @property
    def name(self) -> str:
        """As the user writes it: "v5e:4x4"."""
        return f"{self.kind}:{'x'.join(map(str, self.sides))}"

    @property
    def chips(self) -> int:
        """How many chips it has; each is one JAX device."""
        return math.prod(self.sides)


def parse_topology(name: str) -> Topology:
    """The topology of a name such as "v5e:16x16" or "v4:4x4x4".

    Raises:
        UserError: for a name that is none, an unknown kind, or sides that such a slice does not have.
    """
    match = re.fullmatch(r"(v\d+[a-z]*):(\d+(?:x\d+)*)", name)
    if not match or match[1] not in TPUS:
        raise UserError(f"unknown topology {name!r}", where="--topology", remedy=GOOD_NAMES)
    topology, axes = Topology(match[1], tuple(map(int, match[2].split("x")))), TPUS[match[1]].torus_axes
    if len(topology.sides) != axes or min(topology.sides) < 1:
        what = f"{name!r}: a slice of {match[1]} has {axes} sides"
        raise UserError(what, where="--topology", remedy=GOOD_NAMES)
    return topology


def compile_for_topology(topology: str, function: str, kwargs: dict) -> dict:
    """Call a function in a child process with the devices of a TPU slice, and compile what it lowered.

    Args:
        topology: such as "v5e:2x4".
        function: "module:name" of `name(devices, **kwargs)`, which returns a `jax.stages.Lowered` for those devices (a
            Mesh is made of them as of any others), or a dict, which is handed back as it is.
        kwargs: its keyword arguments, as JSON knows them.

    Returns:
        What `mmjax.plan.program.analyse` says of the compiled program.

    Raises:
        UserError: bad topology, no libtpu, or what the function raised as one.
        RuntimeError: with the end of the child's messages, where it failed otherwise.
    """
    parse_topology(topology)
    request = {"topology": topology, "function": function, "kwargs": kwargs}
    with tempfile.TemporaryDirectory() as folder:
        answer = os.path.join(folder, "answer.json")
        command = [sys.executable, "-m", "mmjax.plan.child", answer]
        done = subprocess.run(command, input=json.dumps(request), text=True, capture_output=True, env=_environment())
        if not os.path.exists(answer):
            raise RuntimeError(f"the compiler ended with status {done.returncode}:\n{done.stderr[-4000:]}")
        with open(answer) as file:
            said = json.load(file)
    if "user_error" in said:
        raise UserError(**said["user_error"])
    if "error" in said:
        raise RuntimeError(said["error"])
    return said["result"]


def _environment() -> dict[str, str]:
    """The child computes on this CPU and only compiles for TPUs, whatever flags this process runs under."""
    # libtpu would otherwise ask the cloud's metadata server what it runs on, and wait for an answer.
    alone = {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_ACCELERATOR_TYPE": "v5litepod-4"}
    # Nor does it own a TPU that only one process may use.
    alone |= {"ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    kept = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    path = os.pathsep.join(p for p in sys.path if p)  # also for functions of the current folder
    return kept | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path} | alone
