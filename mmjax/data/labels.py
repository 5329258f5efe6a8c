"""The label of a training sample: which samples are of one class, person or concept."""

import json

from mmjax.data.selection.scan import lookup
from mmjax.data.unreadable import Unreadable
from mmjax.rng import purpose_number


def label_of(fields: dict, field: str) -> int:
    """The label of a sample, an int32: the field's own number, or for any other value 31 bits of a hash of its text.

    Raises:
        Unreadable: the sample lacks the field.
    """
    value = lookup(fields, field)
    if value is None:
        raise Unreadable("no such label field in the sample", field)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    return purpose_number(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
