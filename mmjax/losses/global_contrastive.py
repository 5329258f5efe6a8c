"""The contrastive loss against all examples of a data set, with running estimates of its denominators (SogCLR)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_vector
from mmjax.losses.lean import choose_impl, lean_sum
from mmjax.losses.lean_rows import RowSums, row_sums
from mmjax.losses.lean_softmax import LOWEST
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean
from mmjax.losses.rows import Rows, both_present, paired_rows, same_key


class Anchors(NamedTuple):
    """What the anchors of one side come to at a step, (B,) each, without gradient.

    Attributes:
        log_u: logarithm of the new running estimate of g.
        slope: derivative of tau (log u + rho) in the anchor's temperature, as it is estimated.
        valid: bool: the pair is there and has a negative; where not, the rest means nothing.
    """

    log_u: jax.Array
    slope: jax.Array
    valid: jax.Array


def global_contrastive(
    x,
    y,
    x_temperature,
    y_temperature,
    *,
    x_log_u=None,
    y_log_u=None,
    gamma=1.0,
    rho=0.0,
    x_present=None,
    y_present=None,
    impl="dense",
):
    """The stochastic estimate of the global contrastive loss, and what its running estimates become.

    L = 1/2 mean_i tau_i (log u_i + rho) + 1/2 mean_j tau_j (log u_j + rho),
    g_i = mean_{k != i} exp((x_i.y_k - x_i.y_i) / tau_i),  u_i <- (1 - gamma) u_i + gamma g_i,

    and the same from y to x (SogCLR, Yuan et al. 2022, arXiv 2202.12387; with rho and a temperature for every anchor
    iSogCLR, Qiu et al. 2023, arXiv 2305.11965, RGCL; with one temperature and rho FastCLIP-v3, Wei et al. 2024, arXiv
    2407.01445, RGCL-g). The gradient is the papers' estimate: tau_i / u_i times that of g_i in the rows, and
    log u + rho + tau / u dg/dtau in the temperature. With gamma = 1 and one temperature the loss is that temperature
    times (`decoupled_contrastive(within=False)` - log(B - 1) + rho). Half the sum of both directions; the papers take
    the sum.

    g and u are kept as logarithms, so that no temperature overflows, and g / u, at most 1 / gamma, needs no epsilon.
    The released iSogCLR counts the pair itself in g and divides by B - 1; here, as in the paper, it is left out.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        x_temperature, y_temperature: (B,) or () tau of the anchors in x and in y, above 0; differentiable.
        x_log_u, y_log_u: (B,) logarithms of the running estimates; -inf, or None: none yet, which takes u = g.
        gamma: share of the new estimate, in (0, 1]; a number or ().
        rho: weight of the temperatures themselves, which keeps them from growing.
        x_present, y_present: (B,) bool. The mean is over complete pairs that have a negative; negatives are all rows
            that are present.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Returns:
        (loss () float32, `Anchors` of x, `Anchors` of y). The loss is the objective's value, not the released code's
        surrogate, which only shares its gradient.

    Raises:
        ValueError: if shapes, values or the mesh do not fit; the message names the argument.
    """
    if not isinstance(gamma, jax.core.Tracer) and not 0 < gamma <= 1:
        raise ValueError(f"gamma {gamma} is the share of the new estimate: give 0 < gamma <= 1")
    if y.ndim != 2:
        raise ValueError(f"y {y.shape} must be (batch, width), as x {x.shape}")
    x, y = paired_rows(x, y, x_present=x_present, y_present=y_present)
    complete = x.facts["present"] & y.facts["present"]
    x, tau_x = _with_temperature(x, y, "x_temperature", x_temperature)
    y, tau_y = _with_temperature(y, x, "y_temperature", y_temperature)
    impl = choose_impl(impl, len(complete), len(complete))
    terms = _make_terms(x.values["vector"].dtype)
    sums = row_sums(terms, *jax.lax.stop_gradient((x, y)), impl=impl)
    value, sides, learned = jnp.float32(0), [], []
    for side, tau, s, log_u, name in zip((x, y), (tau_x, tau_y), sums, (x_log_u, y_log_u), ("x", "y"), strict=True):
        check_vector(f"{name}_log_u", log_u, len(complete))
        anchors, ratio = _running(s, log_u, gamma, rho, complete)
        value += masked_mean(_objective(anchors, tau, rho), anchors.valid) / 2
        sides.append(_with_shares(side, s, anchors, ratio * tau))
        learned.append(anchors)
    pull = _pull(terms, *sides, impl)
    # The sum over pairs has the loss's gradient in the rows, not its value.
    return value + pull - jax.lax.stop_gradient(pull), *learned


def _with_temperature(rows: Rows, other: Rows, name: str, temperature):
    """`rows` with the similarity of each to its partner and its temperature, and the latter (B,), differentiable."""
    count = len(rows.facts["present"])
    tau = jnp.asarray(temperature, jnp.float32)
    if tau.shape not in ((), (count,)):
        raise ValueError(f"{name} {tau.shape} must be ({count},) or (): one for each row of the batch, or one")
    tau = jnp.broadcast_to(tau, (count,))
    x, y = (side.values["vector"].astype(jnp.float32) for side in (rows, other))
    # Its inverse, which is 0 in the rows that fill a tile, where a temperature of 0 would make NaN.
    facts = {**rows.facts, "scale": jax.lax.stop_gradient(1 / tau)}
    return Rows({**rows.values, "own": jnp.sum(x * y, axis=1)}, facts), tau


def _make_terms(dtype):
    """`terms` of `lean_rows.row_sums`: (x_i.y_k - own) / tau of both sides' anchors, and the pairs of two examples."""

    def terms(x: Rows, y: Rows):
        z = logits(x.values["vector"], y.values["vector"], dtype)
        to_y = (z - x.values["own"][:, None]) * x.facts["scale"][:, None]
        to_x = (z - y.values["own"][None, :]) * y.facts["scale"][None, :]
        return to_y, to_x, both_present(x, y) & ~same_key(x, y)

    return terms


def _running(s: RowSums, log_u, gamma, rho, complete) -> tuple[Anchors, jax.Array]:
    """The anchors after their estimates have moved, and g / u (B,)."""
    valid = complete & (s.count > 0)
    log_g = jnp.where(valid, s.log_sum - jnp.log(jnp.maximum(s.count, 1.0)), 0.0)
    if log_u is None:
        new = log_g
    else:
        log_u, gamma = jax.lax.stop_gradient(log_u), jnp.asarray(gamma, jnp.float32)
        moved = jnp.logaddexp(log_u + jnp.log1p(-gamma), log_g + jnp.log(gamma))
        new = jnp.where(jnp.isneginf(log_u), log_g, moved)
    ratio = jnp.exp(log_g - new)
    return Anchors(new, new + rho - ratio * s.mean, valid), ratio


def _objective(anchors: Anchors, tau, rho):
    """(B,) tau (log u + rho), whose derivative in tau is the anchors' slope."""
    held = jax.lax.stop_gradient(tau)
    return held * (anchors.log_u + rho) + (tau - held) * anchors.slope


def _with_shares(side: Rows, s: RowSums, anchors: Anchors, factor) -> Rows:
    """`side` with the factor of each anchor's weights exp(z) / sum exp(z) in the gradient of the loss."""
    count = jnp.maximum(jnp.sum(anchors.valid, dtype=jnp.float32), 1.0)
    share = jnp.where(anchors.valid, jax.lax.stop_gradient(factor) / (2 * count), 0.0)
    log_sum = jnp.where(anchors.valid, s.log_sum, -LOWEST)
    return side._replace(facts={**side.facts, "share": share, "log_sum": log_sum})


def _pull(terms, x: Rows, y: Rows, impl: str):
    """sum_ij share_i exp(z_ij - log_sum_i) of both sides' anchors, the shares being constants."""

    def tile(x, y, params):
        to_y, to_x, keep = terms(x, y)
        weights = x.facts["share"][:, None] * jnp.exp(jnp.where(keep, to_y - x.facts["log_sum"][:, None], -jnp.inf))
        weights += y.facts["share"][None, :] * jnp.exp(jnp.where(keep, to_x - y.facts["log_sum"][None, :], -jnp.inf))
        return jnp.sum(weights)

    return tile(x, y, {}) if impl == "dense" else lean_sum(tile, x, y, {}, impl=impl)
