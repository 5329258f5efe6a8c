"""The training loss: named objectives, each with its weight."""

import flax.linen as nn

from mmjax.errors import UserError
from mmjax.objectives.contrastive import (
    DecoupledContrastive,
    SigmoidContrastive,
    SoftmaxContrastive,
    SupervisedContrastive,
    WeightedContrastive,
)
from mmjax.objectives.multimodal import Gram, MultiView, Pairwise, Symile

OBJECTIVES = {
    "softmax": SoftmaxContrastive,
    "sigmoid": SigmoidContrastive,
    "supervised": SupervisedContrastive,
    "decoupled": DecoupledContrastive,
    "weighted": WeightedContrastive,
    "pairwise": Pairwise,
    "symile": Symile,
    "gram": Gram,
    "multiview": MultiView,
}


class WeightedObjectives(nn.Module):
    """The weighted sum of named objectives.

    Attributes:
        parts: (name, kind, options) of each objective, as config.objectives gives them.
    """

    parts: tuple

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and the metrics of every part, under "<part>/" where there are several."""
        total, metrics = 0.0, {}
        for name, kind, options in self.parts:
            part = OBJECTIVES[kind](**dict(options), name=name)
            try:
                loss, values = part(features, batch, train=train)
            except UserError:
                raise
            except ValueError as error:
                raise UserError(str(error), where=f"config.objectives.{name}") from error
            total += part.weight * loss
            prefix = f"{name}/" if len(self.parts) > 1 else ""
            metrics |= {prefix + k: v for k, v in values.items()}
        return total, metrics | {"loss": total}

    def after_update(self, params):
        """Every part's own `after_update` applied to its parameters; a part without parameters has none."""
        parts = {name: OBJECTIVES[kind](**dict(options), parent=None) for name, kind, options in self.parts}
        return {name: parts[name].after_update(value) for name, value in params.items()}


def build_objective(config) -> WeightedObjectives:
    """The training loss of `config.objectives`."""
    from mmjax.config import options_of

    parts = [(n, e.kind, tuple(options_of(e).items())) for n, e in config.objectives.items()]
    return WeightedObjectives(tuple(parts))
