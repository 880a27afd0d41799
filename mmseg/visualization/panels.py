"""Grids of pictures with titles and legends."""

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmseg.utils import atomic_path

from .colors import Picture

GAP = 8  # pixels between cells and at the margins
INK, PAPER = (24, 24, 24), (255, 255, 255)

Row = Sequence[tuple[str, Picture]]


def panel(rows: Sequence[Row], cell_width: int = 320, font_size: int = 15) -> Picture:
    """Arrange pictures in a grid, each under its title.

    All cells are ``cell_width`` wide; pictures keep their proportions. A row is as high as its
    highest picture, and has a line for titles unless all are empty.

    Args:
        rows: rows of (title, (H, W, 3) uint8); rows may differ in length and pictures in size.
        cell_width: width of a cell in pixels.
        font_size: size of the titles in pixels; smaller if a title does not fit its cell.

    Returns:
        (H, W, 3) uint8 on white.
    """
    strips = [_strip(row, cell_width, font_size) for row in rows if row]
    if not strips:
        raise ValueError("a panel needs at least one picture")
    return stack(strips)


def legend(
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    width: int,
    font_size: int = 15,
) -> Picture:
    """Draw the colours and names of the classes in as many columns as fit.

    Args:
        class_names: C names.
        palette: C (red, green, blue).
        width: width of the picture in pixels.
        font_size: font size in pixels.

    Returns:
        (H, width, 3) uint8 on white.
    """
    font = ImageFont.load_default(font_size)
    side = round(1.1 * font_size)
    column = max(round(font.getlength(name)) for name in class_names) + side + 5 * GAP // 2
    columns = max(1, min(len(class_names), (width - 2 * GAP) // column))
    lines = -(-len(class_names) // columns)
    pitch = (width - 2 * GAP) / columns
    step = side + GAP // 2
    canvas = Image.new("RGB", (width, lines * step - GAP // 2), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, (name, color) in enumerate(zip(class_names, palette, strict=True)):
        x, y = GAP + round(pitch * (i // lines)), step * (i % lines)
        box = (x, y, x + side - 1, y + side - 1)
        draw.rectangle(box, fill=tuple(color), outline=(128, 128, 128))
        draw.text((x + side + GAP // 2, y + side / 2), name, INK, font, anchor="lm")
    return np.asarray(canvas)


def stack(pictures: Sequence[Picture]) -> Picture:
    """Stack pictures vertically, with a margin around and between them.

    Args:
        pictures: each (H, W, 3) uint8.
    """
    width = max(picture.shape[1] for picture in pictures)
    height = sum(picture.shape[0] + GAP for picture in pictures) + GAP
    canvas = np.full((height, width, 3), PAPER, np.uint8)
    y = GAP
    for picture in pictures:
        canvas[y : y + picture.shape[0], : picture.shape[1]] = picture
        y += picture.shape[0] + GAP
    return canvas


def save_image(path: str | os.PathLike, image: Picture) -> None:
    """Write a picture atomically, in the format of its suffix.

    Args:
        path: path of the file; its folders are created.
        image: (H, W, 3) or (H, W) uint8.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(image)).save(temporary)


def _strip(row: Row, cell_width: int, font_size: int) -> Picture:
    """Draw one row: titles above pictures, with margins left and right."""
    images = [_fit(picture, cell_width) for _, picture in row]
    titled = any(title for title, _ in row)
    top = font_size + GAP if titled else 0
    width = GAP + len(row) * (cell_width + GAP)
    canvas = Image.new("RGB", (width, top + max(image.height for image in images)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, ((title, _), image) in enumerate(zip(row, images, strict=True)):
        x = GAP + i * (cell_width + GAP)
        canvas.paste(image, (x, top))
        if title:
            font = _font_that_fits(title, cell_width, font_size)
            draw.text((x, top - GAP // 2), title, INK, font, anchor="ld")
    return np.asarray(canvas)


def _fit(picture: Picture, width: int) -> Image.Image:
    """Scale to ``width``, down by averaging and up without interpolation."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    height = max(1, round(image.height * width / image.width))
    method = Image.Resampling.BOX if width < image.width else Image.Resampling.NEAREST
    return image.resize((width, height), method)


def _font_that_fits(
    text: str, width: int, size: int
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Choose the font of at most ``size`` in which a text fits, but at least of size 8."""
    font = ImageFont.load_default(size)
    while font.getlength(text) > width and size > 8:
        size -= 1
        font = ImageFont.load_default(size)
    return font
