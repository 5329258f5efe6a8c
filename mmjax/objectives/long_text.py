"""Long captions for pictures, short ones for what is main in them."""

import flax.linen as nn

from mmjax.losses import principal_components, softmax_contrastive
from mmjax.objectives.wiring import Scaled, vectors_of


class LongText(Scaled):
    """Long-CLIP's objective (Zhang et al. 2024, arXiv 2403.15378, section 3.3) with one learned scale for both parts.

    L = InfoNCE(image, long) + short_weight InfoNCE(principal components of the images, short): a short caption has to
    match what is left of a picture's embedding after its finer detail was taken out.

    Attributes:
        streams: the picture, its long and its short caption.
        weight: factor of this part in the training loss.
        components: principal components of the batch that are kept; as many as embed_dim: pictures stay whole.
        short_weight: factor of the short captions' part.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        label_smoothing: share of every target that is spread over all candidates.
        impl: form of the losses: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str, str] = ("image", "text", "text_2")
    weight: float = 1.0
    components: int = 32
    short_weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    label_smoothing: float = 0.1
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale = self.learned_scale()
        (image, long, short), (present, long_present, short_present) = vectors_of(self.streams, features, batch)
        options = {"label_smoothing": self.label_smoothing, "impl": self.impl, "x_present": present}
        whole = softmax_contrastive(image, long, scale, y_present=long_present, **options)
        coarse = principal_components(image, self.components, present=present).astype(short.dtype)
        main = softmax_contrastive(coarse, short, scale, y_present=short_present, **options)
        loss = whole + self.short_weight * main
        return loss, {"contrastive_loss": loss, "long_loss": whole, "short_loss": main, "logit_scale": scale}
