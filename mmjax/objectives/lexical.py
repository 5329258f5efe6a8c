"""VDR: contrast of weights over a vocabulary, sparse and anchored in words."""

import flax.linen as nn

from mmjax.losses.lexical import bag_of_words, lexical_contrastive
from mmjax.objectives.wiring import vectors_of


class Lexical(nn.Module):
    """Contrast of two lexical heads, of their greatest weights and of the words of captions (VDR, arXiv 2212.07699).

    Attributes:
        streams: two heads of kind lexical, of one vocabulary.
        weight: factor of this part in the training loss.
        texts: for each of them the batch stream of token ids that are its words; empty where it has none.
        k: weights of a row that are kept; 0: all.
        scale: factor of the inner products, which stays as it is.
        leave_out: token ids that are no words, such as the end of text.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image_words", "text_words")
    weight: float = 1.0
    texts: tuple[str, str] = ("", "text")
    k: int = 768
    scale: float = 1.0
    leave_out: tuple = ()
    impl: str = "auto"

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "texts": [text for text in self.texts if text]}

    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features with weights of words pooled (B, V)) on a batch."""
        (x, y), present = vectors_of(self.streams, features, batch)
        x_words, y_words = (self._words(stream, batch, x.shape[1]) for stream in self.texts)
        sides = {"x_words": x_words, "y_words": y_words, "x_present": present[0], "y_present": present[1]}
        loss = lexical_contrastive(x, y, self.scale, k=self.k, **sides, impl=self.impl)
        return loss, {"contrastive_loss": loss}

    def _words(self, stream, batch, vocabulary):
        """The bag of words of a stream of token ids; None for none."""
        if not stream:
            return None
        if f"{stream}_mask" not in batch:
            raise ValueError(f"the batch has no token ids {stream!r}: name a text stream, or ''")
        return bag_of_words(batch[stream], batch[f"{stream}_mask"], vocabulary, self.leave_out)
