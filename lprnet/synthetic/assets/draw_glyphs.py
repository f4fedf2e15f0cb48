"""Draw `glyphs.png`, the sprite that `lprnet/synthetic/glyphs.py` reads; needs Pillow and the font
files.

Run this only to change the fonts: `python lprnet/synthetic/assets/draw_glyphs.py FONT_ROOT`,
where FONT_ROOT holds the unpacked Debian packages named in `LICENSES.md`. One row per font, one
32x64 cell per character, in the order of the alphabet. A glyph is cropped to its ink and stretched
to fill its cell, as the plate standard GA 36 does with its 45x90 mm characters; only the `1` keeps
its width. Drawing happens at eight times the size, so the grey levels are exact coverage.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lprnet.runtime.plate_grammar import DIGITS, LETTERS, PROVINCES

CELL_WIDTH, CELL_HEIGHT = 32, 64
SERIAL_FONTS = (
    ("opendin/OSP-DIN.ttf", 0),
    ("bebas-neue/BebasNeue-Bold.otf", 0),
    ("roboto/unhinted/RobotoCondensed-Bold.ttf", 0),
    ("open-sans/OpenSans-CondBold.ttf", 0),
    ("roadgeek/RG2014C.ttf", 0),
    ("b612/B612-Bold.otf", 0),
    ("cantarell/Cantarell-Bold.otf", 0),
    ("opentype/play/Play-Bold.otf", 0),
    ("lato/Lato-Bold.ttf", 0),
)
PROVINCE_FONTS = (
    ("noto/NotoSansCJK-Bold.ttc", 2),
    ("noto/NotoSansCJK-Regular.ttc", 2),
    ("droid/DroidSansFallbackFull.ttf", 0),
    ("noto/NotoSerifCJK-Bold.ttc", 2),
    ("smiley-sans/SmileySans-Oblique.ttf", 0),
)
NATURAL_ONE = 0.45
"""Width of a `1` as a part of its cell."""


def draw(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    """One cell, ink 255 on 0."""
    canvas = Image.new("L", (1024, 1024))
    ImageDraw.Draw(canvas).text((256, 128), character, font=font, fill=255)
    box = canvas.getbbox()
    if box is None:
        raise SystemExit(f"a font has no glyph for {character}")
    width = round(CELL_WIDTH * (NATURAL_ONE if character == "1" else 1.0))
    cell = Image.new("L", (CELL_WIDTH, CELL_HEIGHT))
    ink = canvas.crop(box).resize((width, CELL_HEIGHT), Image.Resampling.BOX)
    cell.paste(ink, ((CELL_WIDTH - width) // 2, 0))
    return cell


def main(root: Path) -> None:
    """Write `glyphs.png` beside this file."""
    rows = [(font, (*DIGITS, *LETTERS)) for font in SERIAL_FONTS]
    rows += [(font, PROVINCES) for font in PROVINCE_FONTS]
    columns = max(len(characters) for _, characters in rows)
    sprite = Image.new("L", (columns * CELL_WIDTH, len(rows) * CELL_HEIGHT))
    for row, ((suffix, index), characters) in enumerate(rows):
        path = next(root.rglob(suffix))
        font = ImageFont.truetype(str(path), 512, index=index)
        for column, character in enumerate(characters):
            sprite.paste(draw(font, character), (column * CELL_WIDTH, row * CELL_HEIGHT))
    sprite.save(Path(__file__).with_name("glyphs.png"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
