"""Whose code it was that raised: found by the objects whose methods stand in the traceback.

A training step calls plugins too often for each call to be guarded; this costs nothing until something is raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from traceback import walk_tb

from torch import nn

from dotexp.components.calls import FAULTS, Labelled, PluginError, reraise
from dotexp.components.component import Use
from dotexp.engine.build.network import BodyAndHead, Network, WholeModel
from dotexp.experiment.experiment import Model
from dotexp.language.diagnostics import DotexpError
from dotexp.sdk.data import Data

Owner = tuple[object, Use]
"""An object that a plugin's builder made, and the component."""


def blamed(error: BaseException, owners: Iterable[Owner]) -> tuple[Labelled, str] | None:
    """Return the component whose object's method is innermost in a traceback, and the method's name."""
    if isinstance(error, PluginError):
        return None
    by_id = {id(each): use for each, use in owners}
    found: tuple[Labelled, str] | None = None
    last: Use | None = None
    for frame, _ in walk_tb(error.__traceback__):
        own = by_id.get(id(frame.f_locals.get("self")))
        torchs = str(frame.f_globals.get("__name__")).partition(".")[0] == "torch"  # Module.__call__, Optimizer's hooks
        if own is not None and (own is not last or not torchs):
            last, found = own, (own, frame.f_code.co_name)
    return found


@contextmanager
def blaming(owners: Sequence[Owner]) -> Iterator[None]:
    """Have what is raised inside by a component's object say whose it is."""
    try:
        yield
    except DotexpError:
        raise
    except FAULTS as error:
        found = blamed(error, owners)
        if found is None:
            raise
        reraise(*found, error)


def network_owners(network: Network, model: Model) -> Iterator[Owner]:
    """Yield what a network is made of, and the components that it comes from."""
    parts: Mapping[str, Use | None] = {"body": model.body, "head": model.head, "model": model.whole}
    if isinstance(network, BodyAndHead | WholeModel):
        for name, use in parts.items():
            module: nn.Module | None = getattr(network, name, None)
            if module is not None and use is not None:
                yield module, use


def data_owners(data: Data, use: Use) -> Iterator[Owner]:
    """Yield data and its parts, as far as it has them."""
    yield data, use
    for name in ("train", "valid", "test"):
        try:
            yield data.part(name), use
        except Exception:  # a part that it does not have
            continue
