"""A drawing as pixels of few colours."""

import io
from collections.abc import Sequence

import numpy as np

from .lettering import FAMILY, FONT

_SHADES = 4
"""Of each colour towards white: what the smooth edges of lines and letters are made of."""


def png_of(svg: str, colours: Sequence[str]) -> bytes:
    """*svg*, which is drawn in *colours* on white, as a PNG that has no other colours than these and their shades."""
    import resvg_py
    from PIL import Image

    drawn = resvg_py.svg_to_bytes(
        svg_string=svg,
        background="#ffffff",
        font_files=[str(FONT)],
        font_family=FAMILY,
        sans_serif_family=FAMILY,
        # with the fonts of the machine pictures would differ from one to the next, and start late
        skip_system_fonts=True,
    )
    with Image.open(io.BytesIO(drawn)) as opened:
        pixels = np.asarray(opened.convert("RGB"), dtype=np.int32)
    palette = _palette(colours)
    keys = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    found, which = np.unique(keys, return_inverse=True)
    parts = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=1)
    # Pillow's own search of a palette is coarse: it takes white for the nearest grey
    nearest = ((parts[:, np.newaxis, :] - palette[np.newaxis, :, :]) ** 2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    image = Image.fromarray(nearest[which.reshape(keys.shape)])
    image.putpalette(palette.astype(np.uint8).tobytes())
    into = io.BytesIO()
    image.save(into, "PNG", compress_level=6)
    return into.getvalue()


def _palette(colours: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    table = [(255, 255, 255)]
    for colour in dict.fromkeys(colours):
        full = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        for shade in range(1, _SHADES + 1):
            red, green, blue = (255 - (255 - part) * shade // _SHADES for part in full)
            table.append((red, green, blue))
    return np.array(table[:256], dtype=np.int32)
