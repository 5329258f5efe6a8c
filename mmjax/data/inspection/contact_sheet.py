"""One picture of what reaches the model: a grid of images with their captions below."""

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 8
LEAST_WIDTH = 128
LINES = 3
FONT_SIZE = 12


def contact_sheet(images: np.ndarray, captions: list[str], columns: int = 6) -> Image.Image:
    """A grid of `images` (N,S,S,3) uint8, small ones enlarged by a whole factor, each with its caption."""
    # Pillow's own font stops at ASCII; matplotlib's covers most alphabets.
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", FONT_SIZE)
    factor = max(1, -(-LEAST_WIDTH // images.shape[1]))
    side = images.shape[1] * factor
    cell_width, cell_height = side + MARGIN, side + LINES * (FONT_SIZE + 3) + MARGIN
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * cell_width + MARGIN, rows * cell_height + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x = MARGIN + number % columns * cell_width
        y = MARGIN + number // columns * cell_height
        sheet.paste(Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST), (x, y))
        draw.rectangle((x - 1, y - 1, x + side, y + side), outline="lightgrey")
        draw.multiline_text((x, y + side + 2), wrap(caption, font, side), font=font, fill="black", spacing=2)
    return sheet


def wrap(text: str, font, width: int) -> str:
    """`text` in at most LINES lines of `width` pixels, cut with an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"{lines[LINES - 1]} ..."]
    return "\n".join(_cut(line, font, width) for line in lines)


def _cut(line, font, width):
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "\u2026") > width:
        line = line[:-1]
    return line + "\u2026"
