"""Images in folders, as data, and image files for prediction."""

from __future__ import annotations

from dotexp import DataContext, Task

from dotexp_vision.data_params import ImageFolderParams
from dotexp_vision.image_data import Found, ImageData, assemble
from dotexp_vision.image_store import FileReader
from dotexp_vision.listing import list_images


def build(params: ImageFolderParams, context: DataContext) -> ImageData:
    """Find the images, split them and read them. Raises ComponentError (E401, E402) for what is not as it should be."""
    pool, parts, notes = list_images(params)
    reader = FileReader(params.path)
    return assemble(
        params, Found(Task.classification, pool, parts, reader, str(params.path), "path", notes=notes), context
    )
