"""The process of one run of a sweep: `mmjax`, which the kernel ends when the sweep that started it is killed.

A killed sweep's orphan would go on writing to the folder that the next one wants to go on with. Only Linux offers this;
elsewhere the folder's lock makes the next sweep say so.
"""

import ctypes
import signal
import sys

from mmjax.cli import main

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.exit(main())
