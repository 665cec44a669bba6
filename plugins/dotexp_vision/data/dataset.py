"""Labelled images to data: split, looked through for what cannot be read, held in memory where they fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
from dotexp import ComponentError, DataContext, DataFacts
from dotexp.sdk.data import Named, Part, hashed
from dotexp.sdk.splits import random_split_rows
from numpy.typing import NDArray

from dotexp_vision.augment.pipeline import Augmentation
from dotexp_vision.data.cache import ImageStore, Places, Reader, dark_notes, in_threads
from dotexp_vision.data.decode import NATURAL, UnreadableImageError
from dotexp_vision.data.levels import Decision, Levels, decide
from dotexp_vision.data.params import ImageParams, OnBad
from dotexp_vision.data.splitting import stratified_rows
from dotexp_vision.data.subset import ImagePart, Images, Sizes
from dotexp_vision.data.targets import Example, Targets, as_targets, names_in, require_classes

GIB = 1 << 30
_LISTED = 100
"""Images that a message lists before it counts the rest."""


@dataclass(frozen=True)
class ImageData:
    """The facts and the parts."""

    facts: DataFacts
    parts: Mapping[str, Part]
    places: Callable[[str], str] | None = None

    def part(self, name: str) -> Part:
        """Return a part; raises KeyError where there is none of this name."""
        return self.parts[name]

    def identities(self, part: str) -> NDArray[np.uint64]:
        """Return a number for each image, by the place that it comes from; `places` tells it by the image's name."""
        found = self.parts[part]
        assert isinstance(found, Named)
        return hashed(found.names if self.places is None else map(self.places, found.names))


@dataclass(frozen=True)
class Found:
    """What was found before anything was opened.

    `pool` is what trains and what parts are drawn from at random, sorted by identity; `parts` are those given
    otherwise (`valid`, `test`). `place` says where the images are, and tells one set of them from another; `blamed`
    is the parameter that named them. `classes` are in order; none: those found, sorted. `notes` and `guesses` are
    those of `DataFacts`.
    """

    task: str
    pool: tuple[Example, ...]
    parts: Mapping[str, tuple[Example, ...]]
    reader: Reader
    place: str
    blamed: str
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    guesses: Mapping[str, str] = field(default_factory=dict)
    levels: Levels = NATURAL

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in order; none where numbers are learned."""
        return self.classes or (() if self.task == "regression" else tuple(names_in(self.pool)))

    def without(self, identities: Mapping[str, object]) -> Found:
        """The same but for these images."""
        parts = {name: _others(examples, identities) for name, examples in self.parts.items()}
        return replace(self, pool=_others(self.pool, identities), parts=parts)


def assemble(params: ImageParams, found: Found, context: DataContext) -> ImageData:
    """Split what was found, read it into memory, and gather the facts.

    Raises ComponentError (E402) with all the images that cannot be read, unless `on_bad = skip`.
    """
    seed = context.seed if params.split_seed is None else params.split_seed
    shared = {} if context.shared is None else context.shared
    decision = _levels(params, found, shared)
    reader = found.reader.at_levels(decision.levels)
    found = replace(found, reader=reader, guesses={**found.guesses, **decision.guesses}, levels=decision.levels)
    found = replace(found, notes=(*found.notes, *decision.notes))
    store: ImageStore = shared.setdefault(f"images of {found.place} at {decision.levels}", ImageStore())
    parts = _split(params, found, seed)
    skipped: dict[str, UnreadableImageError] = {}
    places: Places = {}
    while bad := _take(params, found, parts, store, places):
        skipped |= bad
        if params.on_bad is OnBad.error or len(bad) == _count(found):
            raise _unreadable(found, bad)
        found = found.without(bad)
        parts = _split(params, found, seed)
    for part in (name for name, examples in parts.items() if not examples):
        raise ComponentError(f"no image of the {part} part can be read", part)
    targets = as_targets(found.task, parts, found.class_names)
    sizes = Sizes(params.size, params.presize or params.size, params.resize)
    augmentation = _augmentation(params)
    images = Images(found.reader, store, places, int(params.memory * GIB))
    made = {
        name: ImagePart(
            images,
            [example.identity for example in examples],
            targets.tensors[name],
            sizes,
            augmentation,  # only what trains is given draws, and test-time augmentation
        )
        for name, examples in parts.items()
    }
    dark = () if params.levels is not None else tuple(dark_notes(places))
    return ImageData(_facts(found, parts, targets, skipped, dark), made, found.reader.place)


def _levels(params: ImageParams, found: Found, shared: MutableMapping[str, Any]) -> Decision:
    """Decide which levels of images of more than 8 bits are black and white: once for a run's images of one place."""
    given = None if params.levels is None else (params.levels.low, params.levels.high)
    key = f"levels of {found.place} given {given}"
    if key not in shared:
        images = (example.identity for examples in (found.pool, *found.parts.values()) for example in examples)
        shared[key] = decide(in_threads(found.reader.level_range, images), given)
    decision: Decision = shared[key]
    return decision


def _augmentation(params: ImageParams) -> Augmentation | None:
    return Augmentation([use.build() for use in params.transforms]) if params.transforms else None


def _split(params: ImageParams, found: Found, seed: int) -> dict[str, tuple[Example, ...]]:
    """Draw the parts that are drawn, the test part first, and put them into their usual order."""
    require_classes(found.task, found.class_names, found.blamed)
    pool, parts = found.pool, dict(found.parts)
    held_out: tuple[tuple[str, Any], ...] = (("test", params.test), ("valid", params.valid))
    for part, share in held_out:
        if part in parts or not isinstance(share, (int, float)):
            continue
        purpose = "split" if part == "valid" else part
        draw: Callable[..., Any] = random_split_rows
        over: Any = len(pool)
        if params.stratify:
            draw, over = stratified_rows, [str(example.label) for example in pool]
        kept, held = draw(over, share, seed, purpose, part)
        parts[part] = tuple(pool[row] for row in held)
        pool = tuple(pool[row] for row in kept)
    return {"train": pool, **{name: parts[name] for name in ("valid", "test") if name in parts}}


def _take(
    params: ImageParams, found: Found, parts: Mapping[str, Sequence[Example]], store: ImageStore, places: Places
) -> dict[str, UnreadableImageError]:
    """Decode all the images that there is room for, at the side each is needed at, into `places`; return the bad."""
    by_side: dict[int, list[str]] = {}
    for name, examples in parts.items():
        side = params.presize if name == "train" and params.presize else params.size
        by_side.setdefault(side, []).extend(example.identity for example in examples)
    bad: dict[str, UnreadableImageError] = {}
    for side, identities in by_side.items():
        taken = store.take(found.reader, identities, side, params.resize, int(params.memory * GIB))
        places.setdefault(side, {}).update(taken.places)
        bad |= taken.bad
    return bad


def _unreadable(found: Found, bad: Mapping[str, UnreadableImageError]) -> ComponentError:
    listed = [f"  {identity}: {bad[identity].reason}" for identity in sorted(bad)[:_LISTED]]
    if len(bad) > _LISTED:
        listed.append(f"  and {len(bad) - _LISTED} more")
    count = f"{len(bad)} of {_count(found)} images" if len(bad) > 1 else f"1 of {_count(found)} images"
    message = f"{count} in {found.place} cannot be read\n" + "\n".join(listed)
    return ComponentError(message, found.blamed, "mend or remove them, or leave them out: on_bad = skip")


def _count(found: Found) -> int:
    return len(found.pool) + sum(map(len, found.parts.values()))


def _others(examples: Sequence[Example], identities: Mapping[str, object]) -> tuple[Example, ...]:
    return tuple(example for example in examples if example.identity not in identities)


def _facts(
    found: Found,
    parts: Mapping[str, Sequence[Example]],
    targets: Targets,
    skipped: Mapping[str, object],
    more: Sequence[str],
) -> DataFacts:
    notes = [*found.notes, *targets.notes, *more]
    if skipped:
        few = ", ".join(sorted(skipped)[:5]) + (", …" if len(skipped) > 5 else "")
        notes.append(f"{len(skipped)} image{'s' * (len(skipped) > 1)} cannot be read and left out: {few}")
    classes = targets.facts.get("classes")
    vocabulary: dict[str, Any] = {} if classes is None else {"classes": list(classes)}
    if levels := found.levels.as_json():
        vocabulary["levels"] = levels
    return DataFacts(
        task=found.task,
        train=len(parts["train"]),
        valid=len(parts["valid"]),
        test=len(parts.get("test", ())),
        fingerprint=_fingerprint(found.reader, parts),
        notes=tuple(notes),
        guesses=found.guesses,
        vocabulary=vocabulary,
        **targets.facts,
    )


def _fingerprint(reader: Reader, parts: Mapping[str, Sequence[Example]]) -> str:
    digest = sha256()
    for part, examples in parts.items():
        for example in examples:
            digest.update(f"{part}\0{example.identity}\0{example.label}\0".encode(errors="surrogateescape"))
            digest.update(reader.stamp(example.identity))
    return digest.hexdigest()
