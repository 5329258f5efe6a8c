"""Going on training without forgetting: an older model's matching of the batch as a target (Mod-X)."""

import flax.linen as nn

from mmjax.losses import off_diagonal_distillation
from mmjax.losses.anchors import BLOCK
from mmjax.objectives.wiring import vectors_of


class OffDiagonal(nn.Module):
    """Divergence from a teacher's contrastive matrix (Mod-X, Ni et al. 2023, arXiv 2305.07437); add it to a softmax.

    Attributes:
        streams: the two batch streams; anchors are in the first.
        teacher: the older model, a name in config.teachers.
        weight: factor of this part in the training loss, the paper's alpha.
        temperature: of both matrices.
        selective: whether rows in which the teacher does not find the partner count nothing.
        divergence: new_old, KL(new || old), the paper's; old_new, KL(old || new).
        impl: dense, all similarities at once; blockwise, those of `block` anchors at a time.
        block: anchors of a tile.
    """

    streams: tuple[str, str] = ("image", "text")
    teacher: str = "frozen"
    weight: float = 20.0
    temperature: float = 0.07
    selective: bool = True
    divergence: str = "new_old"
    impl: str = "dense"
    block: int = BLOCK

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "teacher": [f"{self.teacher}/{stream}" for stream in self.streams]}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        (x, y), (x_present, y_present) = vectors_of(self.streams, features, batch)
        (old_x, old_y), _ = vectors_of([f"{self.teacher}/{s}" for s in self.streams], features, batch)
        loss = off_diagonal_distillation(
            x,
            y,
            old_x,
            old_y,
            1 / self.temperature,
            selective=self.selective,
            divergence=self.divergence,
            x_present=x_present,
            y_present=y_present,
            impl=self.impl,
            block=self.block,
        )
        return loss, {"off_diagonal_loss": loss}
