"""Whole files of each format, small and of every sort, to make mutants from."""

import io
from functools import cache

import numpy as np
from PIL import Image

MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "JPEG": ["L", "RGB", "CMYK"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "WEBP": ["RGB", "RGBA"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"],
}
OPTIONS: dict[str, list[dict[str, object]]] = {
    "PNG": [{}, {"optimize": True}],
    "JPEG": [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}],
    "BMP": [{}],
    "WEBP": [{"lossless": True}, {"quality": 30}],
    "TIFF": [{}],
}
OPTIONS["TIFF"] += [{"compression": kind} for kind in ("tiff_lzw", "tiff_deflate", "packbits")]


@cache
def whole_files(kind: str) -> list[bytes]:
    """Every mode and option, once with EXIF data; animations and pages where there are any."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (19, 33, 3), dtype=np.uint8)
    pictures = [
        Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 99)
        if mode == "I;16"
        else Image.fromarray(pixels).convert(mode)
        for mode in MODES[kind]
    ]
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    files = [_encoded(picture, kind, options) for picture in pictures for options in OPTIONS[kind]]
    if kind != "BMP":
        files.append(_encoded(pictures[1], kind, {"exif": exif}))
    pages: dict[str, object] = {"save_all": True, "append_images": pictures[:2]}
    if kind in ("PNG", "WEBP", "TIFF"):
        # As often as all still pictures together: here decoders have crashed.
        files += 4 * [_encoded(picture, kind, pages) for picture in pictures[1:3]]
    if kind == "PNG":
        apart = {**pages, "default_image": True}
        files += 4 * [_encoded(picture, kind, apart) for picture in pictures[1:3]]
    if kind == "JPEG":
        files.append(
            _encoded(pictures[1], "MPO", {"save_all": True, "append_images": pictures[:1]})
        )
    return files


def _encoded(picture: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
