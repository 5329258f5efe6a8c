"""Captioning beside a contrastive loss, from the same forward pass of both towers."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.losses.captions import caption_cross_entropy
from mmjax.objectives.decoder import Decoder, DecoderOptions, tokens_of
from mmjax.objectives.relevance import most_relevant


class Captioning(DecoderOptions):
    """Every token of a caption from the picture and the tokens before it (CoCa, Yu et al. 2022, arXiv 2205.01917).

    The text tower, causal and with pool "cls", is the first half of the decoder: its tokens, moved on by one place, are
    what the second half starts from, which looks at the picture. So the contrastive loss, an objective of its own, and
    this one share one pass of either tower. A learned vector stands before the first token, which makes a tokenizer's
    start token unnecessary.

    Attributes:
        streams: the stream that is described, of a tower with tokens, and the text stream.
        weight: factor of this part in the training loss; CoCa's is 2 beside a contrastive weight of 1.
        vocabulary: number of token ids.
        queries: learned queries that gather the described tokens first (CoCa: 256); 0: the decoder sees them all.
        relevance: names of tokens and of a text in the shared space, such as ("patches", "text"), by whose products
            the described tokens are chosen; none: all are seen.
        attended: share of the described tokens, those most relevant to the text, that the decoder sees (SyCoCa).
        block: positions whose logits over the vocabulary are held at a time; 0: all.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 2.0
    vocabulary: int = 49408
    queries: int = 0
    relevance: tuple = ()
    attended: float = 0.5
    block: int = 0

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "relevance": self.relevance}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features with tokens) on a batch."""
        described, text = self.streams
        others, others_mask, present = tokens_of(described, features, batch)
        tokens, mask, text_present = tokens_of(text, features, batch)
        if self.relevance:
            others_mask = most_relevant(*self.relevance, features, share=self.attended)
        spec = self.spec(tokens)
        start = self.param("start_embedding", nn.initializers.normal(0.02), (1, 1, spec.width)).astype(tokens.dtype)
        shifted = jnp.concatenate([jnp.broadcast_to(start, tokens[:, :1].shape), tokens[:, :-1]], axis=1)
        hidden = Decoder(spec, causal=True, queries=self.queries, name="decoder")(shifted, others, others_mask)
        vocabulary = self.param("vocabulary", nn.initializers.normal(0.02), (self.vocabulary, spec.width))
        counted = mask & (present & text_present)[:, None]
        loss = caption_cross_entropy(hidden, vocabulary, batch[text], counted, block=self.block)
        return loss, {"caption_loss": loss}
