"""One head for several streams."""

from mmjax.heads.base import StreamHead


class SameHead(StreamHead):
    """Another head, parameters and all, on a further stream: one predictor for weak and for strong views.

    The model applies the other head; this one has no parameters.

    Attributes:
        stream: the stream, or other head, that takes the place of the other head's own.
        of: name of the other head, of a kind with a `stream`.
    """

    of: str = ""
