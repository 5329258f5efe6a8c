"""What a teacher makes of the batch as the target of a smaller or younger model."""

import flax.linen as nn

from mmjax.losses import logit_distillation
from mmjax.losses.logits import logits
from mmjax.objectives.wiring import Scaled, two_sides, vectors_of


class Distillation(Scaled):
    """Cross-entropy to a teacher's matching of the batch (open_clip's distillation loss); add it to a softmax.

    The teacher may be as wide as it likes: only its similarities are compared. All of them are held at once.

    Attributes:
        streams: the two batch streams.
        teacher: a name in config.teachers.
        weight: factor of this part in the training loss.
        temperature: initial temperature of this model's similarities, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        teacher_temperature: of the teacher's similarities, such as it was trained to.
    """

    streams: tuple[str, str] = ("image", "text")
    teacher: str = "frozen"
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    teacher_temperature: float = 0.01

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "teacher": [f"{self.teacher}/{stream}" for stream in self.streams]}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        if not self.teacher_temperature > 0:
            raise ValueError(f"teacher_temperature is {self.teacher_temperature}: give a number above 0")
        scale, sides = self.learned_scale(), two_sides(self, features, batch)
        taught, _ = vectors_of(self.named["teacher"], features, batch)
        loss = logit_distillation(scale=scale, teacher_logits=logits(*taught) / self.teacher_temperature, **sides)
        return loss, {"distillation_loss": loss, "logit_scale": scale}
