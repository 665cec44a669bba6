"""Pictures as data URIs."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from dotexp.language.diagnostics import ComponentError
from dotexp.sdk.report import Picture

LONGEST = 320
"""Most pixels of a picture's longer side; a larger picture is reduced."""
SMALL = 64
"""Most pixels of a side of a picture that is kept exactly, as PNG, and shown enlarged."""
_QUALITY = 80


def encode(picture: Picture) -> tuple[str, bool]:
    """Encode a picture as a JPEG or PNG data URI; also return whether it is small, to be enlarged without blurring.

    Raises ComponentError for anything but an image (3, H, W) or (1, H, W) of finite floats.
    """
    from PIL import Image

    shape = tuple(picture.image.shape)
    if len(shape) != 3 or shape[0] not in (1, 3) or 0 in shape or not bool(picture.image.isfinite().all()):
        raise ComponentError(f"the picture `{picture.caption}` is no image (3, H, W) of finite numbers: {shape}")
    levels = picture.image.detach().cpu().float().clamp(0, 1).mul(255).round().byte()
    image = Image.fromarray(levels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())
    small = max(image.size) <= SMALL
    image.thumbnail((LONGEST, LONGEST))
    out = BytesIO()
    if small:
        image.save(out, "PNG", optimize=True)
    else:
        image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/{'png' if small else 'jpeg'};base64,{b64encode(out.getvalue()).decode()}", small
