"""The inputs of prediction: what a data component says of them to `predict`, `serve` and `export`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dotexp.record import Record


class InputForm(Record):
    """How a data component takes new inputs, and how they are called on the command line, in HTTP and in an export."""

    encoder: str
    """The `"module:function"` that takes `(params, vocabulary)` and returns a function from a sequence of inputs to
    `dotexp.sdk.data.Encoded`. It is called once for a trained model; the vocabulary is what `DataFacts.vocabulary` held
    when the run was made."""

    tensors: tuple[str, ...] = ()
    """Names of the tensors that the model takes, in order, as an ONNX model has them; empty: `input_0`, …"""

    about: str = "inputs"
    """What the inputs are, in the plural, for the help of `predict`: `image files or folders`."""

    example: str = "INPUT"
    """An input on the command line: `photo.jpg`."""

    fields: Mapping[str, str] = MappingProxyType({})
    """Keys of an input that is sent as a JSON object, in order, each with an example. A key's value is an id, text or
    a whole number, and the encoder is given a tuple of them as text. Empty: the bytes of an image's file are sent."""

    plural: str = "inputs"
    """Key of several such objects in a request: `{"pairs": [{…}, {…}]}`."""
