"""What every encoder returns."""

import flax
import jax


@flax.struct.dataclass
class Features:
    """The features of a batch of B examples in one modality.

    Attributes:
        pooled: (B, D) float32, one vector for each example, not normalised.
        tokens: (B, N, D) in the dtype of activations, one vector for each patch or piece (no class token), or None.
        mask: (B, N) bool, True where a token is real, or None if all are.
    """

    pooled: jax.Array
    tokens: jax.Array | None = None
    mask: jax.Array | None = None
