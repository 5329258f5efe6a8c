"""The verbs of the command line: a summary, flags, and a function that calls what does the work.

JAX is imported once a verb runs, so that help and mistakes in flags are told at once.
"""

from mmjax.verbs.benches import BENCHES
from mmjax.verbs.data import DATA
from mmjax.verbs.experiments import EXPERIMENTS
from mmjax.verbs.runs import RUNS

VERBS = RUNS | DATA | EXPERIMENTS | BENCHES
