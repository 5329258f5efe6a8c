"""The dense losses of two modalities in float64 numpy, by explicit loops over anchors, written from the papers.

Nothing here is shared with `mmjax.losses`: an oracle that imports what it judges proves nothing. Exponentials are not
shifted (`math.fsum` of `math.exp`): scale times similarity must stay below 700.

- `softmax`: InfoNCE in either or both directions, with several positives, smoothing, soft targets, missing samples.
- `sigmoid`: SigLIP's sum over pairs, divided by the number of anchors.
- `supervised`: SupCon over the two views joined, every view an anchor.
- `decoupled`: InfoNCE whose denominator lacks the positive, within both views or across them only.
- `weighted`: CWCL, continuously weighted targets in one direction and InfoNCE in the other.
"""

import math

import numpy as np


def dots(x, y):
    """(B, C) inner products as nested lists."""
    return [[math.fsum(float(a) * float(b) for a, b in zip(u, v, strict=True)) for v in y] for u in x]


def log_sum_exp(terms):
    return math.log(math.fsum(math.exp(t) for t in terms))


def transpose(rows):
    return [list(column) for column in zip(*rows, strict=True)]


def presence(present, rows):
    return [True] * rows if present is None else [bool(p) for p in present]


def without_absent(x, present):
    """Rows of float64, absent ones zero: their content must not matter."""
    return [np.asarray(row, np.float64) if p else np.zeros(len(row)) for row, p in zip(x, present, strict=True)]


def positive_weights(rows, columns, keys, targets):
    """(B, C) weights of the pairs, not yet normalised: soft `targets`, or 1 for equal keys, or 1 on the diagonal."""
    if targets is not None:
        return [[float(t) for t in row] for row in targets]
    x_keys, y_keys = keys if isinstance(keys, tuple) else (keys, keys)
    x_keys = range(rows) if x_keys is None else x_keys
    y_keys = range(columns) if y_keys is None else y_keys
    return [[float(a == b) for b in y_keys] for a in x_keys]


def cross_entropies(z, weights, anchors, candidates, label_smoothing):
    """For each valid anchor: -sum_j t_j log softmax_j(z), t its weights over present candidates, made to sum to one."""
    losses = []
    for i, anchor in enumerate(anchors):
        there = [j for j, c in enumerate(candidates) if c]
        total = math.fsum(weights[i][j] for j in there)
        if not anchor or total == 0:
            continue
        partition = log_sum_exp(z[i][j] for j in there)
        targets = [(1 - label_smoothing) * weights[i][j] / total + label_smoothing / len(there) for j in there]
        losses.append(-math.fsum(t * (z[i][j] - partition) for t, j in zip(targets, there, strict=True)))
    return losses


def mean(values):
    return math.fsum(values) / len(values) if values else 0.0


def softmax(
    x, y, scale, *, keys=None, label_smoothing=0, targets=None, x_present=None, y_present=None, direction="both"
):
    """InfoNCE, the mean over valid anchors; for "both" half the sum of the two directions' means.

    CLIP (arXiv 2103.00020, Figure 3); several positives: SupCon's L_out (arXiv 2004.11362, eq. 2).

    Args:
        x, y: (B, D) and (C, D).
        keys: (B,) shared by x and y, or a pair ((B,), (C,)): equal keys are positives, averaged. None: the diagonal.
        label_smoothing: e: targets (1-e) t + e/n, n the number of present candidates, the positive among them.
        targets: (B, C) weights in place of keys; each anchor's are divided by their sum over present candidates:
            a row's for x to y, a column's for y to x.
        direction: "x_to_y", "y_to_x" or "both".
    """
    x_present, y_present = presence(x_present, len(x)), presence(y_present, len(y))
    s = dots(without_absent(x, x_present), without_absent(y, y_present))
    z = [[float(scale) * v for v in row] for row in s]
    weights = positive_weights(len(x), len(y), keys, targets)
    to_y = mean(cross_entropies(z, weights, x_present, y_present, label_smoothing))
    to_x = mean(cross_entropies(transpose(z), transpose(weights), y_present, x_present, label_smoothing))
    return {"x_to_y": to_y, "y_to_x": to_x, "both": (to_y + to_x) / 2}[direction]


def sigmoid(x, y, scale, bias, *, keys=None, x_present=None, y_present=None):
    """SigLIP (arXiv 2303.15343, eq. 1): -sum over pairs of log sigmoid(z (s x.y + b)), divided by the anchors.

    Pairs count when both samples are present. The divisor is the number of valid anchors x: present and with a present
    positive; all B where nothing is missing.
    """
    x_present, y_present = presence(x_present, len(x)), presence(y_present, len(y))
    s = dots(without_absent(x, x_present), without_absent(y, y_present))
    positive = positive_weights(len(x), len(y), keys, None)
    terms, anchors = [], 0
    for i in range(len(x)):
        valid = False
        for j in range(len(y)):
            if x_present[i] and y_present[j]:
                valid = valid or positive[i][j] == 1
                sign = 1 if positive[i][j] else -1
                terms.append(math.log1p(math.exp(-sign * (float(scale) * s[i][j] + float(bias)))))
        anchors += valid
    return math.fsum(terms) / anchors if anchors else 0.0


def supervised(x, y, scale, ids):
    """SupCon L_out (arXiv 2004.11362, eq. 2), official form: contrast mode "all", base temperature = temperature.

    Anchors are the 2B rows of x and y joined; the positives of one are all others of its id, in either view; the
    denominator holds every row but the anchor. Mean over the positives, then over the 2B anchors.
    """
    rows, keys = [*x, *y], [*ids, *ids]
    s = dots(rows, rows)
    losses = []
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        partition = log_sum_exp(float(scale) * s[i][j] for j in others)
        positives = [j for j in others if keys[j] == keys[i]]
        losses.append(-mean([float(scale) * s[i][p] - partition for p in positives]))
    return mean(losses)


def decoupled(x, y, scale, intra):
    """DCL (arXiv 2110.06848): -s_ii + log of the sum over negatives only; mean over anchors of both views.

    Anchor x_i's negatives are y_j of every j != i and, with `intra`, x_j of every j != i too; of y_i likewise. Half the
    sum of the two views' means.
    """
    views = ([*x], [*y])
    totals = []
    for anchors, others in (views, views[::-1]):
        across, within = dots(anchors, others), dots(anchors, anchors)
        losses = []
        for i in range(len(anchors)):
            negatives = [across[i][j] for j in range(len(anchors)) if j != i]
            negatives += [within[i][j] for j in range(len(anchors)) if j != i and intra]
            losses.append(-float(scale) * across[i][i] + log_sum_exp(float(scale) * n for n in negatives))
        totals.append(mean(losses))
    return math.fsum(totals) / 2


def weighted(x, y, scale, features):
    """CWCL (arXiv 2309.14580): soft targets from frozen `features` (B, F) in x to y, InfoNCE in y to x.

    w_ij = 1/2 + <f_i, f_j>/2 divided by its row's sum, the diagonal included; half the sum of the two directions.
    """
    weights = [[0.5 + 0.5 * v for v in row] for row in dots(features, features)]
    forward = softmax(x, y, scale, targets=weights, direction="x_to_y")
    return (forward + softmax(x, y, scale, direction="y_to_x")) / 2
