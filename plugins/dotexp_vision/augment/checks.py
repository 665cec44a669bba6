"""The check that `dotexp.testing` runs over every transform, a third party's too."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from dotexp import Problem, Use

_SIDE = 12


def check_transform(use: Use) -> Iterator[Problem]:
    """Check that one image (3, H, W) becomes another, a function of the image and torch's seeded generator."""
    transform = use.build()
    image = torch.rand(3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    given = image.clone()
    augmented = []
    for _ in range(2):
        torch.manual_seed(1)
        augmented.append(transform(given))
    first, second = augmented
    if not isinstance(first, torch.Tensor) or first.ndim != 3 or first.shape[0] != len(image):
        said = tuple(first.shape) if isinstance(first, torch.Tensor) else type(first).__name__
        yield Problem(f"of an image (3, {_SIDE}, {_SIDE}) it makes {said}", help="return an image (3, H, W)")
    elif not first.isfinite().all():
        yield Problem("it makes numbers that are not finite", help="divide by nothing that may be 0")
    elif not torch.equal(first, second):
        help = "draw from torch's generator, which is seeded by the example, and from no other"
        yield Problem("with the same seed it makes another image", help=help)
    elif not torch.equal(given, image):
        yield Problem("it changes the image that it is given", help="use no operation that ends in `_` on it")
