"""Inputs against the labels of the batch, every label once: classification whose classes are embeddings."""

import jax.numpy as jnp

from mmjax.losses.checks import check_present
from mmjax.losses.masked import all_present
from mmjax.losses.softmax import softmax_contrastive


def input_label_contrastive(x, y, labels, scale, *, label_smoothing=0.0, x_present=None, y_present=None, impl="dense"):
    """Softmax of every input over the different labels of the batch, mean over inputs.

    L = mean_i -log [exp(s x_i.y_c(i)) / sum_{c in C} exp(s x_i.y_c)], C the labels that occur in the batch: the
    input-label contrast of Rethmeier & Augenstein 2021 (arXiv 2102.12982, section 3.2), with the labels of the other
    inputs as negatives. Where the batch holds all labels this is the cross-entropy of a classifier whose weights are
    the embedded labels. Of the rows of one label the first that is present stands for it, so that the frequency of a
    label in the batch is no prior on it, and no input has its own label as a negative.

    Args:
        x: (B, D) unit rows, the inputs, float32 or bfloat16.
        y: (B, D) unit rows, each input's label, embedded.
        labels: (B,) int, equal for equal labels.
        scale: () the factor of the similarities, 1/temperature; not its logarithm.
        label_smoothing: share in [0, 1) of every target that is spread over all labels of the batch.
        x_present, y_present: (B,) bool. An input counts if it is there and its label is, in whichever row.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Returns:
        () float32; 0 where no input has a label.

    Raises:
        ValueError: if shapes, values or the mesh do not fit.
    """
    check_present("y_present", y_present, len(y))
    first = first_of_each(labels, all_present(y_present, len(y)))
    options = {"direction": "x_to_y", "label_smoothing": label_smoothing, "impl": impl}
    return softmax_contrastive(x, y, scale, ids=labels, x_present=x_present, y_present=first, **options)


def first_of_each(labels, present):
    """(B,) bool: of the `present` rows with one label, the first.

    Args:
        labels: (B,) int.
        present: (B,) bool.
    """
    order = jnp.lexsort((jnp.arange(len(labels)), ~present, labels))  # the last key counts most
    in_order = labels[order]
    begins = jnp.concatenate([jnp.ones((1,), bool), in_order[1:] != in_order[:-1]])
    return jnp.zeros(len(labels), bool).at[order].set(begins) & present
