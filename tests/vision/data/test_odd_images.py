"""Image files as cameras, scanners and browsers leave them: shown as a viewer shows them, or refused with a reason."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from dotexp_vision.data.decode import (
    UnreadableImageError,
    check_image,
    load_pixels,
    read_image,
    square,
    without_warnings,
)
from dotexp_vision.data.params import Resize
from PIL import Image, ImageOps
from raw_images import tiff


def photo(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth colours, each corner another."""
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack([255 * x / width, 255 * y / height, 255 * (1 - x / width)], -1)
    return Image.fromarray(levels.astype(np.uint8))


def difference(path: Path, expected: Image.Image) -> float:
    seen = np.asarray(read_image(path)).astype(int)
    assert seen.shape == (expected.height, expected.width, 3)
    return float(np.abs(seen - np.asarray(expected).astype(int)).max())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_the_camera_was(tmp_path: Path, orientation: int) -> None:
    image = photo()
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    turns = {
        1: image,
        2: ImageOps.mirror(image),
        3: image.rotate(180),
        4: ImageOps.flip(image),
        5: ImageOps.mirror(image).rotate(90, expand=True),
        6: image.rotate(-90, expand=True),
        7: ImageOps.mirror(image).rotate(-90, expand=True),
        8: image.rotate(90, expand=True),
    }
    assert difference(tmp_path / "turned.png", turns[orientation]) == 0


def test_a_turned_jpeg_at_a_fraction_of_its_size(tmp_path: Path) -> None:
    image = photo(640, 480)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", quality=95, exif=exif)
    assert read_image(tmp_path / "turned.jpg", least=100).size == (120, 160)
    seen = load_pixels(tmp_path / "turned.jpg", 48, Resize.squish).permute(1, 2, 0).numpy().astype(int)
    expected = np.asarray(image.rotate(-90, expand=True).resize((48, 48), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(seen - expected).max() <= 6


def test_transparent_is_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("RGBA", (2, 2), (255, 0, 0, 128)).save(tmp_path / "half.webp", lossless=True)
    Image.new("LA", (2, 2), (0, 51)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    assert read_image(tmp_path / "half.webp").getpixel((0, 0)) == (255, 127, 127)
    assert read_image(tmp_path / "grey.png").getpixel((0, 0)) == (204, 204, 204)
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "palette.png", transparency=0)
    seen = read_image(tmp_path / "palette.png")
    assert (seen.getpixel((0, 0)), seen.getpixel((1, 1))) == ((255, 255, 255), (10, 200, 30))


def test_other_colours(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 257 * 100, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png").getpixel((0, 0)) == (100, 100, 100)
    for name, level in (("ones.tif", 0.4), ("bytes.tif", 102.0)):
        Image.fromarray(np.array([[0, level], [level, level]], dtype=np.float32)).save(tmp_path / name)
        assert read_image(tmp_path / name).getpixel((1, 1)) == (102, 102, 102)
    Image.new("CMYK", (2, 2), (0, 0, 0, 255)).save(tmp_path / "print.jpg")
    assert np.asarray(read_image(tmp_path / "print.jpg")).max() < 10
    Image.new("L", (2, 2), 77).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").getpixel((0, 0)) == (77, 77, 77)
    Image.new("1", (2, 2), 1).save(tmp_path / "bits.tif")
    assert read_image(tmp_path / "bits.tif").getpixel((0, 0)) == (255, 255, 255)


def test_what_a_file_holds_counts_and_not_its_name(tmp_path: Path) -> None:
    first, second = photo().quantize(), photo().rotate(180).quantize()
    first.save(tmp_path / "animation.jpg", format="GIF", save_all=True, append_images=[second])
    assert difference(tmp_path / "animation.jpg", first.convert("RGB")) == 0
    photo().save(tmp_path / "photo.png", format="BMP")
    assert difference(tmp_path / "photo.png", photo()) == 0
    photo().save(tmp_path / "photo.avif", quality=95)
    assert difference(tmp_path / "photo.avif", photo()) < 20


def test_what_is_odd_and_readable_makes_no_noise(tmp_path: Path) -> None:
    photo().save(tmp_path / "odd.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    with without_warnings():
        assert read_image(tmp_path / "odd.jpg").size == (60, 40)


def saved(form: str) -> bytes:
    held = io.BytesIO()
    photo().save(held, form)
    return held.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and has none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def broken_files(folder: Path) -> dict[str, str]:
    """Write files that are no images, and return for each a part of the reason."""
    photo().save(folder / "whole.jpg")
    photo().save(folder / "whole.png")
    jpeg, png = (folder / "whole.jpg").read_bytes(), (folder / "whole.png").read_bytes()
    half = len(png) // 2
    files = {
        "cut.jpg": (jpeg[: len(jpeg) // 2], "runcated"),
        "end.jpg": (jpeg[:-20], "runcated"),
        "cut.png": (png[:half], "runcated"),
        "bit.png": (png[:half] + bytes([png[half] ^ 1]) + png[half + 1 :], "broken"),
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"GIF? no, text", "it is no image, but text: GIF\\? no, text"),
        "page.jpg": (b"<!doctype html><html>404</html>", "a web page .HTML., no image: a download was answered by"),
        "denied.jpg": (
            b'<?xml version="1.0"?><Error>AccessDenied</Error>',
            "it is XML, no image: a download was answered",
        ),
        "error.jpg": (b'{"message": "Not Found"}', "it is JSON, no image: a download was answered"),
        "pointer.jpg": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "Git LFS pointer, no image",
        ),
        "script.jpg": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n",
            "PostScript document, which is not read",
        ),
        "phone.jpg": (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
            "an HEIC image, which is not read: convert it",
        ),
        "wavelets.jpg": (saved("JPEG2000"), "a JPEG 2000 image, which is not read: convert it"),
        "clip.png": (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(99), "a video, no image: save its frames"),
        "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing, which is not read"),
        "packed.png": (gzip.compress(png), "it is gzip, no image: unpack it"),
        "start.jpg": (jpeg[:20], "starts as a JPEG image, and is damaged"),
        "noise.jpg": (bytes(range(128, 256)), "it is no image"),
        "doubles.tif": (tiff(np.zeros((4, 4)), 64, 3), "a TIFF of 64-bit floats, which is not read: save it with 8"),
        "halves.tif": (tiff(np.zeros((4, 4), np.float16), 16, 3), "a TIFF of 16-bit floats"),
        "complex.tif": (tiff(np.zeros((4, 4), np.complex64), 64, 6), "a TIFF of 64-bit complex numbers"),
        "bomb.png": (bomb(15_000, 11_500), "more than 170,000,000"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    return {**{name: reason for name, (_, reason) in files.items()}, "folder.jpg": "folder", "gone.jpg": "not exist"}


def test_broken_files_are_refused_with_a_reason_and_by_the_quick_check_alike(tmp_path: Path) -> None:
    for name, reason in broken_files(tmp_path).items():
        for read in (read_image, check_image, lambda path: load_pixels(path, 8, Resize.crop)):
            with without_warnings(), pytest.raises(UnreadableImageError, match=reason) as caught:
                read(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value)
    check_image(tmp_path / "whole.jpg")


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 7), (8, 8), (224, 224), (500, 375)])
@pytest.mark.parametrize("resize", Resize)
def test_squares_of_any_shape(size: tuple[int, int], resize: Resize) -> None:
    made = square(photo(*size), 8, resize)
    assert made.shape == (3, 8, 8) and made.dtype == torch.uint8


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (20, 12)])
def test_squares_against_pillow(size: tuple[int, int]) -> None:
    image, method = photo(*size), Image.Resampling.BILINEAR
    expected = {
        Resize.crop: ImageOps.fit(image, (16, 16), method),
        Resize.squish: image.resize((16, 16), method),
        Resize.pad: ImageOps.pad(image, (16, 16), method),
    }
    for resize, by_pillow in expected.items():
        seen = square(image, 16, resize).permute(1, 2, 0).numpy().astype(int)
        assert np.abs(seen - np.asarray(by_pillow).astype(int)).max() <= 2, (
            resize
        )  # Pillow's edges see beyond what is cut
