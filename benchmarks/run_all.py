"""Run every benchmark and write its JSON to benchmarks/results.

python -m benchmarks.run_all            (about 15 minutes on two quiet cores)
"""

import subprocess
import sys

from benchmarks.common import ROOT

BENCHMARKS = (
    *("startup", "overhead", "checkpoint_stall", "step_flops", "allocator"),
    *("loss", "vit_b32_step", "index_scale"),
)


def main():
    for name in sys.argv[1:] or BENCHMARKS:
        output = ROOT / "benchmarks" / "results" / f"{name}.json"
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", f"--output={output}"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
