"""The options that all transformer encoders share."""

import dataclasses

import jax

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.layers import DTYPES
from mmjax.encoders.norms import NORMS, Norm
from mmjax.encoders.options import check_choice, check_multiple, check_rates
from mmjax.encoders.products import OF_ACTIVATIONS, WITH_PARAMETER
from mmjax.errors import UserError

# What the backward pass finds in memory; the rest it computes again.
REMAT = {
    "none": jax.checkpoint_policies.everything_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.save_only_these_names(WITH_PARAMETER),
    "all_dots": jax.checkpoint_policies.save_only_these_names(WITH_PARAMETER, OF_ACTIVATIONS),
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """The options that all transformer encoders share; see `trunk.Transformer` for their meaning."""

    width: int
    depth: int
    heads: int
    mlp_dim: int
    act: str
    norm: str
    norm_eps: float
    qk_norm: bool
    layer_scale: float
    dropout: float
    drop_path: float
    scan: bool
    remat: str
    dtype: str

    @classmethod
    def of(cls, encoder) -> "Spec":
        """The options of an encoder module; checked.

        Raises:
            UserError: naming the option that cannot be.
        """
        spec = cls(**{f.name: getattr(encoder, f.name) for f in dataclasses.fields(cls)})
        spec = dataclasses.replace(spec, mlp_dim=spec.mlp_dim or round(spec.width * encoder.mlp_ratio))
        kind = type(encoder).__name__
        for name, choices in (("act", ACTIVATIONS), ("norm", NORMS), ("remat", REMAT), ("dtype", DTYPES)):
            check_choice(f"{kind}.{name}", getattr(spec, name), choices)
        check_multiple(f"{kind}.width", spec.width, spec.heads, "heads")
        check_rates(kind, dropout=spec.dropout, drop_path=spec.drop_path)
        if spec.depth < 0 or spec.mlp_dim < 1:
            raise UserError(f"{kind} has depth {spec.depth} and mlp_dim {spec.mlp_dim}", remedy="give positive sizes")
        return spec

    def make_norm(self, name: str) -> Norm:
        """A norm of this kind as a submodule `name`."""
        return Norm(self.norm, self.norm_eps, self.dtype, name=name)
