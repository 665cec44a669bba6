"""The inputs of prediction: what a data component says of them to `predict`, `serve` and `export`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dotexp.language.wording import with_article
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
    """Keys of an input that is sent as a JSON object, in order, each with an example; rows name an input by them. A
    key's value is text or a whole number. The encoder is given the text of one key, or a tuple of the texts of several.
    Empty: `{"input": "…"}`, unless files are sent."""

    plural: str = "inputs"
    """Key of several such objects in a request: `{"pairs": [{…}, {…}]}`."""

    singular: str = "input"
    """What one of them is called in messages: `pair`, `image`."""

    media: str = ""
    """Media type of the files that are sent as inputs, such as `image/*`; the encoder is given the bytes of one. Empty:
    inputs are sent as JSON."""

    @property
    def keys(self) -> Mapping[str, str]:
        """Keys of an input in JSON, each with an example; none where files are sent."""
        return {} if self.media else self.fields or {"input": self.example}

    @property
    def one(self) -> str:
        """What one is called, with its article: `an image`."""
        return with_article(self.singular)

    def given(self, texts: tuple[str, ...]) -> str | tuple[str, ...]:
        """Return an input of several texts as the encoder is given it. Raises TypeError for another number of them."""
        if len(texts) != len(self.keys):
            wanted = f"({', '.join(self.keys)})" if len(self.keys) > 1 else "no tuple"
            raise TypeError(f"{self.one} is {wanted}, not a tuple of {len(texts)}")
        return texts[0] if len(texts) == 1 else texts


def check_input_form(form: object) -> None:
    """Raise TypeError for what is no InputForm, or one that contradicts itself."""
    if not isinstance(form, InputForm) or form.encoder.count(":") != 1:
        raise TypeError(f'inputs is an InputForm whose encoder is "module:function", not {form!r}')
    if form.fields and form.media:
        raise TypeError("inputs: `fields` are those of JSON, and `media` is for files: one of them is wanted")
    if form.plural in form.fields:
        raise TypeError(f"inputs: `{form.plural}` is the key of several inputs, and of a field as well")
