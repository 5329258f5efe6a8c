"""The child process that loads libtpu: one request on standard input, one answer in the file named on the command line.

`python -m mmjax.plan.child ANSWER.json` is started by `mmjax.plan.topology.compile_for_topology`.
"""

import importlib
import importlib.util
import json
import sys
import traceback

from mmjax.errors import UserError
from mmjax.plan.chips import TPUS
from mmjax.plan.topology import GOOD_NAMES, INSTALL, parse_topology


def main(path: str) -> None:
    """Write the answer to the request on standard input to `path`, errors included."""
    try:
        answer = {"result": respond(**json.load(sys.stdin))}
    except UserError as error:
        answer = {"user_error": {"what": error.what, "where": error.where, "remedy": error.remedy}}
    except Exception:
        answer = {"error": traceback.format_exc()}
    text = json.dumps(answer)
    with open(path, "w") as file:
        file.write(text)


def respond(topology: str, function: str, kwargs: dict) -> dict:
    """What `compile_for_topology` returns."""
    from mmjax.plan.program import analyse

    devices = topology_devices(topology)
    module, _, name = function.partition(":")
    made = getattr(importlib.import_module(module), name)(devices, **kwargs)
    return made if isinstance(made, dict) else analyse(made)


def topology_devices(name: str) -> list:
    """The devices of a topology, one for each chip; they can be compiled for and no more.

    Raises:
        UserError: no libtpu here, or no such slice.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("libtpu, which holds the TPU compiler, is not installed", remedy=INSTALL)
    from jax.experimental import topologies

    options = TPUS[parse_topology(name).kind].compiler_options
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=name, **options).devices
    except Exception as error:
        if "INVALID_ARGUMENT" not in str(error):
            raise
        raise UserError(f"{name!r} is no slice: {error}", where="--topology", remedy=GOOD_NAMES) from error


if __name__ == "__main__":
    main(sys.argv[1])
