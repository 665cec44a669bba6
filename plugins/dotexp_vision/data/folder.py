"""Images in folders, as data, and image files for prediction."""

from __future__ import annotations

from dotexp import DataContext, Task

from dotexp_vision.data.cache import FileReader
from dotexp_vision.data.dataset import Found, ImageData, assemble
from dotexp_vision.data.listing import list_images
from dotexp_vision.data.params import ImageFolderParams


def build(params: ImageFolderParams, context: DataContext) -> ImageData:
    """Find the images, split them and read them. Raises ComponentError (E401, E402) for what is not as it should be."""
    pool, parts, notes = list_images(params)
    reader = FileReader(params.path)
    return assemble(
        params, Found(Task.classification, pool, parts, reader, str(params.path), "path", notes=notes), context
    )
