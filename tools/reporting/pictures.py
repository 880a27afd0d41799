"""Choose pictures of runs, and encode them for a page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .runs import Run

# Bytes of all pictures of a page; in base64 they are a third more.
MOST_BYTES = 7_000_000
SHOWN_IMAGES = 4
# Panels of each run: the last, the first, and one in between; of many runs fewer.
SHOWN_PANELS, MOST_PANELS = 3, 12
PANEL_WIDTH = 1000  # pixels
_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


class Room:
    """The room for pictures on a page.

    Attributes:
        left: bytes that are left.
        dropped: number of pictures that did not fit.
    """

    def __init__(self, size: int = MOST_BYTES) -> None:
        self.left = size
        self.dropped = 0

    def take(self, content: bytes, suffix: str) -> str | None:
        """Return a picture as a ``data:`` address, or None if there is no room for it."""
        if len(content) > self.left:
            self.dropped += 1
            return None
        self.left -= len(content)
        return f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Compared:
    """A validation image with its label and the predictions of runs.

    Attributes:
        name: name of the image.
        width: width in pixels.
        height: height in pixels.
        layers: title -> address of the picture.
    """

    name: str
    width: int
    height: int
    layers: dict[str, str]


@dataclass(frozen=True)
class Panel:
    """A picture of training.

    Attributes:
        run: index of the run.
        iteration: its iteration.
        size: width and height in pixels.
        address: address of the picture.
    """

    run: int
    iteration: int
    size: tuple[int, int]
    address: str


def compared_images(runs: Sequence[Run], labels: Sequence[str], room: Room) -> list[Compared]:
    """Collect the validation images that the runs have stored, with the predictions of all runs."""
    folders = [run.folder / "validation" for run in runs]
    images = {path.stem: path for f in reversed(folders) for path in sorted(f.glob("image/*.jpg"))}
    found = []
    for name in sorted(images)[:SHOWN_IMAGES]:
        files = {"image": images[name]}
        files["ground truth"] = images[name].parents[1] / "label" / f"{name}.png"
        for label, folder in zip(labels, folders, strict=True):
            files[label] = folder / "prediction" / f"{name}.png"
        layers = {
            title: address
            for title, path in files.items()
            if path.is_file() and (address := room.take(path.read_bytes(), path.suffix))
        }
        with Image.open(images[name]) as image:
            found.append(Compared(name, *image.size, layers))
    return [each for each in found if len(each.layers) > 1]


def colours_of(runs: Sequence[Run], count: int) -> list[str]:
    """Return the colours of the first ``count`` classes, as the stored label maps have them."""
    maps = (path for run in runs for path in sorted(run.folder.glob("validation/*/*.png")))
    for path in maps:
        with Image.open(path) as image:
            values = image.getpalette() or []
        return [f"rgb({', '.join(map(str, values[3 * i : 3 * i + 3]))})" for i in range(count)]
    return []


def training_panels(runs: Sequence[Run], room: Room) -> tuple[list[Panel], int]:
    """Choose panels of training of each run, the last ones first if there is little room.

    Returns:
        The panels by run and iteration, and how many there are on disk.
    """
    chosen: list[tuple[int, int, Path]] = []
    count = 0
    for i, run in enumerate(runs):
        paths = sorted((run.folder / "debug").glob("iter_*_*.png"))
        count += len(paths)
        firsts = {int(path.stem.split("_")[1]): path for path in reversed(paths)}
        steps = sorted(firsts)
        places = [-1, 0, len(steps) // 2][: min(SHOWN_PANELS, len(steps))]
        chosen += [(rank, i, firsts[steps[place]]) for rank, place in enumerate(places)]
    panels = []
    for _, i, path in sorted(chosen)[:MOST_PANELS]:
        content, size = _reduced(path)
        address = room.take(content, ".webp")
        if address:
            panels.append(Panel(i, int(path.stem.split("_")[1]), size, address))
    return sorted(panels, key=lambda panel: (panel.run, panel.iteration)), count


def _reduced(path: Path) -> tuple[bytes, tuple[int, int]]:
    with Image.open(path) as image:
        image.thumbnail((PANEL_WIDTH, 4 * PANEL_WIDTH), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "WEBP", quality=80, method=2)
        return buffer.getvalue(), image.size
