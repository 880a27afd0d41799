"""Toy street scenes: things made of flat parts in metres, seen by a pinhole camera.

World axes: X to the right, Y up from the ground, Z away from the camera, all in metres. A scene
has no colours and no file format: :mod:`.render` paints it, :mod:`.writers` stores it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """A camera that looks along Z.

    Args:
        width: image width in pixels.
        height: image height in pixels.
        horizon: row of the horizon in pixels.
        centre: column of the vanishing point in pixels.
        focal: focal length in pixels.
        above: height above the ground in metres.
        aside: X of the camera in metres.
        ahead: Z of the camera in metres.
    """

    width: int
    height: int
    horizon: float
    centre: float
    focal: float
    above: float
    aside: float = 0.0
    ahead: float = 0.0

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points (N, 3) in metres to pixels (N, 2) as x, y; pixel centres are integers."""
        offset = np.array([self.centre, self.horizon])
        around = (points[:, :2] - [self.aside, self.above]) * [1.0, -1.0]
        return offset + around * (self.focal / (points[:, 2:] - self.ahead))

    def scale(self, depth: float) -> float:
        """Return the pixels per metre at a distance of ``depth`` metres."""
        return self.focal / depth


@dataclass(frozen=True)
class Part:
    """One flat polygon of a thing.

    Args:
        kind: key of the palette; None: not painted, only part of the outline of the thing.
        points: (N, 3) corners in metres.
        variant: number in [0, 1) that picks one of the colours of the kind.
        shade: factor on the colour.
        line: width in metres of the closed outline, if only that is drawn; 0: fill the polygon.
    """

    kind: str | None
    points: np.ndarray
    variant: float = 0.0
    shade: float = 1.0
    line: float = 0.0


@dataclass
class Thing:
    """A labelled object.

    Args:
        label: class name of Cityscapes.
        depth: distance in metres, which orders things and sets the haze.
        parts: its parts, in drawing order.
        shadow: (N, 3) points on the ground.
        tint: factors on R, G and B.
    """

    label: str
    depth: float
    parts: list[Part] = field(default_factory=list)
    shadow: np.ndarray | None = None
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def add(
        self,
        kind: str | None,
        points: Sequence | np.ndarray,
        variant: float = 0.0,
        shade: float = 1.0,
        line: float = 0.0,
    ) -> None:
        """Append a part."""
        part = Part(kind, np.asarray(points, np.float64), variant, shade, line)
        self.parts.append(part)


@dataclass(frozen=True)
class Scene:
    """Things in drawing order (far to near), and the camera that sees them."""

    camera: Camera
    things: list[Thing]

    @cached_property
    def seen(self) -> list["Seen"]:
        """The things that are at least partly in the image, projected."""
        parts = [part for thing in self.things for part in thing.parts]
        # One product for all parts: a scene has thousands, each of a few corners.
        corners = self.camera.project(np.concatenate([part.points for part in parts]))
        size = np.array([self.camera.width - 1, self.camera.height - 1])
        seen, start = [], 0
        for thing in self.things:
            ends = list(accumulate(len(part.points) for part in thing.parts))
            mine = corners[start : start + ends[-1]]
            start += ends[-1]
            low, high = mine.min(0), mine.max(0)
            if (high >= 0).all() and (low <= size).all():
                seen.append(Seen(thing, mine, ends))
        return seen


@dataclass(frozen=True)
class Seen:
    """A thing in the image: the pixels (N, 2) of its corners, and the end of each part in them."""

    thing: Thing
    corners: np.ndarray
    ends: list[int]

    def split(self, corners: np.ndarray) -> Iterator[np.ndarray]:
        """Split ``corners`` (N, 2) into those of each part."""
        return (corners[a:b] for a, b in zip([0, *self.ends[:-1]], self.ends, strict=True))


def front(
    x0: float, x1: float, y0: float, y1: float, z: float, z_end: float | None = None
) -> np.ndarray:
    """Make an upright rectangle (4, 3) that faces the camera, or runs from ``z`` to ``z_end``."""
    z_end = z if z_end is None else z_end
    return np.array([[x0, y0, z], [x0, y1, z], [x1, y1, z_end], [x1, y0, z_end]], np.float64)


def side(x: float, y0: float, y1: float, z0: float, z1: float) -> np.ndarray:
    """Make an upright rectangle (4, 3) parallel to the street."""
    return front(x, x, y0, y1, z0, z1)


def flat(x0: float, x1: float, z0: float, z1: float, y: float = 0.0) -> np.ndarray:
    """Make a horizontal rectangle (4, 3)."""
    return np.array([[x0, y, z0], [x0, y, z1], [x1, y, z1], [x1, y, z0]], np.float64)


def upright(outline: Sequence, x: float, z: float, turn: float = 0.0) -> np.ndarray:
    """Place an outline (N, 2) of (along, up) metres at ``x``, ``z``, turned in radians; (N, 3)."""
    along, up = np.asarray(outline, np.float64).T
    return np.stack([x + along * np.cos(turn), up, z + along * np.sin(turn)], axis=1)


def disc(along: float, up: float, rx: float, ry: float | None = None, corners: int = 14) -> list:
    """Make the outline of an ellipse for :func:`upright`."""
    angles = np.arange(corners) * 2 * np.pi / corners
    ry = rx if ry is None else ry
    return list(zip(along + rx * np.cos(angles), up + ry * np.sin(angles), strict=True))


def shadow_under(x: float, z: float, half_width: float, half_length: float) -> np.ndarray:
    """Make an ellipse (N, 3) on the ground."""
    ground = np.array(disc(0, 0, half_width, half_length))
    return np.stack([x + ground[:, 0], np.zeros(len(ground)), z + ground[:, 1]], axis=1)


def outlines_of(seen: Seen, width: int, height: int) -> list[np.ndarray]:
    """Trace the polygons (N, 2) int32 around all parts of a thing.

    They are the outer borders of the union of the parts, so that the label covers what is painted.
    There is usually one, and more if the border of the image cuts a thing into pieces. Pieces
    thinner than two pixels are left out.
    """
    corners = np.rint(seen.corners).astype(np.int32)
    # Two pixels of margin keep cut-off borders outside the image.
    low = np.clip(corners.min(0), -2, [width + 1, height + 1])
    high = np.clip(corners.max(0), -2, [width + 1, height + 1])
    mask = np.zeros((high - low + 1)[::-1], np.uint8)
    for polygon in seen.split(corners - low):
        cv2.fillPoly(mask, [polygon], 1)
    borders, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [(border[:, 0] + low).astype(np.int32) for border in borders if len(border) >= 3]


def scene_polygons(scene: Scene) -> list[tuple[str, np.ndarray]]:
    """Return the annotation of a scene: (class name, polygon (N, 2) int32), later ones on top."""
    size = scene.camera.width, scene.camera.height
    return [(s.thing.label, outline) for s in scene.seen for outline in outlines_of(s, *size)]
