"""Tensors held against a model by name, shape and kind, and loaded into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dotexp.components.component import Use
from dotexp.sdk.weights.errors import counted, unusable
from dotexp.sdk.weights.inspecting import inspection
from dotexp.sdk.weights.reading import Tensors, source_of

_OF_RUN = ("normalize.", "body.", "head.", "model.")


def fill(
    model: nn.Module,
    tensors: Tensors,
    source: str | Path | Use,
    body: nn.Module | None = None,
    cut: Collection[str] = (),
) -> None:
    """Load tensors, by the model's own names, into the part of it that `body` holds (None: all of it).

    Tensors of the rest of the model, and whatever goes by the names in `cut` or lies under them, are left out. Batch
    norm's count of batches may be missing. `source` is the file, as a spec names it, or says in messages where the
    tensors are from. Raises ComponentError (E405), naming the first few tensors of each kind and counting them, where
    the body's are missing, of another shape, or no finite real numbers, or there are some that the model does not have.
    """
    own = model.state_dict(keep_vars=True)
    held = {id(tensor) for tensor in (body or model).state_dict(keep_vars=True).values()}
    wanted = {name: tensor for name, tensor in own.items() if id(tensor) in held}
    rest = own.keys() - wanted.keys()
    kept = {name: tensor for name, tensor in tensors.items() if name not in rest and not _under(name, cut)}
    differing = [name for name in kept if name in wanted and kept[name].shape != wanted[name].shape]
    said = source if isinstance(source, str) else str(source_of(source).path)
    _require_numbers({n: t for n, t in kept.items() if n in wanted and wanted[n].is_floating_point()}, said)
    given = {name: tensor for name, tensor in kept.items() if name not in differing}
    if inspection() is not None:
        model = model.to("meta")
        given = {name: tensor.to("meta") for name, tensor in given.items()}
    try:
        # the modules may know older names of their tensors: what is missing and added is theirs to say
        found = model.load_state_dict(given, strict=False)
    except RuntimeError as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise unusable(f"{said} does not fit this body: {reason}") from error
    missing = [name for name in found.missing_keys if name in wanted and name not in differing and not _count(name)]
    lists = (("it lacks", missing), ("it adds", found.unexpected_keys), ("shapes differ in", differing))
    faults = [f"{verb} {counted(names)}" for verb, names in lists if names]
    if faults:
        raise unusable(f"{said} does not fit this body: {'; '.join(faults)}", _help(tensors, wanted, source))


def _require_numbers(tensors: Mapping[str, Tensor], said: str) -> None:
    """Raise ComponentError (E405) for tensors that a layer's real numbers cannot be."""
    faults = list(_not_numbers(tensors))
    if faults:
        raise unusable(
            f"{said} holds no usable weights: {'; '.join(faults)}", "weights are finite real numbers, in dense tensors"
        )


def _not_numbers(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    quantized = [name for name, tensor in tensors.items() if tensor.is_quantized]
    sparse = [name for name, tensor in tensors.items() if tensor.layout is not torch.strided]
    complex_ones = [name for name, tensor in tensors.items() if tensor.is_complex()]
    real = {name: t for name, t in tensors.items() if t.is_floating_point() and name not in sparse}
    integers = [name for name in tensors if name not in {*real, *quantized, *sparse, *complex_ones}]
    infinite = [name for name, t in real.items() if not t.is_meta and not bool(torch.isfinite(t.float()).all())]
    for kind, names in (
        ("quantized", quantized),
        ("sparse", sparse),
        ("complex", complex_ones),
        ("of integers", integers),
    ):
        if names:
            yield f"{counted(names)} {'are' if len(names) > 1 else 'is'} {kind}"
    if infinite:
        yield f"{counted(infinite)} {'have' if len(infinite) > 1 else 'has'} values that are NaN or infinite"


def _help(tensors: Tensors, wanted: Collection[str], source: str | Path | Use) -> str:
    """Say how tensors that do not fit may: by the prefix of their names, or as a run's."""
    ends: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for at in range(1, len(parts)):
            if ".".join(parts[at:]) in wanted:
                ends[".".join(parts[:at]) + "."] += 1
                break
    prefix, count = next(iter(ends.most_common(1)), ("", 0))
    if 2 * count > len(wanted) and not isinstance(source, str):
        of = source_of(source)
        return f"its names start with `{prefix}`: {of.written(of.prefix + prefix)}"
    if all(name.startswith(_OF_RUN) for name in tensors):
        by = '`weights = run("…")` takes them by its name, `weights = "…"` by its folder'
        return f"these are a run's weights: {by}"
    return ""


def _under(name: str, paths: Collection[str]) -> bool:
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def _count(name: str) -> bool:
    return name.endswith("num_batches_tracked")
