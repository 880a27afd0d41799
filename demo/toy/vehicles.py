"""Make cars, trucks, buses and trams that drive along a toy street or cross it."""

from collections.abc import Callable, Sequence

import numpy as np

from .objects import make_thing
from .scene import Thing, disc, flat, front, shadow_under, side, upright

LENGTHS = {"car": 3.6, "truck": 5.6, "bus": 6.4, "train": 9.0}
"""Lengths in metres; shorter than real ones, to suit the small images."""


def box(
    thing: Thing,
    kind: str,
    xs: tuple[float, float],
    ys: tuple[float, float],
    zs: tuple[float, float],
    variant: float,
) -> float:
    """Add the faces of a box that the camera can see; return the X of the visible side."""
    visible = xs[0] if xs[0] + xs[1] > 0 else xs[1]
    thing.add(kind, side(visible, *ys, *zs), variant, 0.72)
    if ys[1] < 3:
        thing.add(kind, flat(*xs, *zs, y=ys[1]), variant, 1.15)
    thing.add(kind, front(*xs, *ys, zs[0]), variant, 0.95)
    return visible


def _wheels_along(
    thing: Thing, x: float, visible: float, half: float, z: float, length: float
) -> None:
    for end in (0.18, 0.8):
        wheel = np.array(disc(0, 0.34, 0.34))
        at = z + end * length
        points = np.stack([np.full(14, visible), wheel[:, 1], at + wheel[:, 0] * 1.1], axis=1)
        thing.add("tyre", points)
    for foot in (x - 0.8 * half, x + 0.8 * half):
        thing.add("tyre", front(foot - 0.14, foot + 0.14, 0, 0.45, z + 0.02))


def _lamps(thing: Thing, x: float, half: float, y: float, z: float, away: bool) -> None:
    for place in (x - 0.75 * half, x + 0.75 * half):
        thing.add("tail lamp" if away else "lamp", front(place - 0.16, place + 0.16, y, y + 0.2, z))


def car_along(x: float, z: float, rng: np.random.Generator) -> Thing:
    """Make a car that drives along the street."""
    thing, variant, length = make_thing("car", z, rng), rng.random(), LENGTHS["car"]
    half, end = 0.92, z + length
    tall = rng.uniform(1.5, 1.85)
    visible = x - half if x > 0 else x + half
    cabin_side = visible - 0.1 * np.sign(visible - x)
    box(thing, "car", (x - half, x + half), (0.28, 0.95), (z, end), variant)
    _wheels_along(thing, x, visible, half, z, length)
    box(thing, "car", (x - 0.8, x + 0.8), (0.9, tall), (z + 0.35, end - 0.9), variant)
    thing.add("glass", side(cabin_side, 1.0, tall - 0.12, z + 0.55, end - 1.1), shade=0.9)
    thing.add("glass", front(x - 0.68, x + 0.68, 1.0, tall - 0.1, z + 0.34))
    thing.add("car", front(x - half, x + half, 0.3, 0.95, z), variant, 0.9)
    thing.add("tyre", front(x - half, x + half, 0.26, 0.42, z), shade=1.5)
    _lamps(thing, x, half, 0.62, z, away=x > 0)
    thing.add("sign white", front(x - 0.22, x + 0.22, 0.45, 0.58, z))
    thing.shadow = shadow_under(x + 0.2, z + length / 2, 1.2, length / 2 + 0.3)
    return thing


def truck_along(x: float, z: float, rng: np.random.Generator) -> Thing:
    """Make a truck: its container seen from behind, or its cab from the front."""
    thing, variant, load, length = make_thing("truck", z, rng), *rng.random(2), LENGTHS["truck"]
    half, away = 1.15, x > 0
    visible = x - half if x > 0 else x + half
    cargo = (z, z + length - 1.3) if away else (z + 1.3, z + length)
    cab = (z + length - 1.3, z + length) if away else (z, z + 1.3)

    def add_cargo() -> None:
        box(thing, "container", (x - half, x + half), (0.6, 3.2), cargo, load)
        for share in np.linspace(0.12, 0.88, 5):
            at = cargo[0] + share * (cargo[1] - cargo[0])
            thing.add("container", side(visible, 0.7, 3.1, at, at + 0.1), load, 0.55)

    def add_cab() -> None:
        box(thing, "truck", (x - 1.05, x + 1.05), (0.4, 2.4), cab, variant)

    thing.add("tyre", front(x - half, x + half, 0.3, 0.62, z + 0.05))
    thing.add("tyre", side(visible, 0.3, 0.62, z, z + length))
    for add in (add_cab, add_cargo) if away else (add_cargo, add_cab):
        add()
    _wheels_along(thing, x, visible, half, z, length)
    if away:
        thing.add("container", front(x - 0.04, x + 0.04, 0.7, 3.1, z), load, 0.5)
    else:
        thing.add("glass", front(x - 0.9, x + 0.9, 1.35, 2.2, z))
    _lamps(thing, x, half, 0.65, z, away)
    thing.shadow = shadow_under(x + 0.3, z + length / 2, 1.6, length / 2 + 0.3)
    return thing


def bus_along(x: float, z: float, rng: np.random.Generator) -> Thing:
    """Make a bus of one colour, with a band of windows and a destination board."""
    thing, variant, length = make_thing("bus", z, rng), rng.random(), LENGTHS["bus"]
    half, top = 1.25, 3.1
    visible = box(thing, "bus", (x - half, x + half), (0.35, top), (z, z + length), variant)
    for share in np.arange(5) / 5:
        at = z + 0.3 + share * (length - 0.3)
        thing.add("glass", side(visible, 1.5, 2.5, at, at + 0.95), shade=0.85)
    _wheels_along(thing, x, visible, half, z, length)
    thing.add("glass", front(x - 1.05, x + 1.05, 1.45, 2.4, z))
    thing.add("board", front(x - 0.7, x + 0.7, 2.6, 2.95, z))
    thing.add("bus trim", front(x - half, x + half, 0.35, 0.65, z))
    _lamps(thing, x, half, 0.8, z, away=x > 0)
    thing.shadow = shadow_under(x + 0.3, z + length / 2, 1.7, length / 2 + 0.3)
    return thing


def train_along(x: float, z: float, rng: np.random.Generator) -> Thing:
    """Make a two-coloured tram with a pantograph."""
    thing, variant, length = make_thing("train", z, rng), rng.random(), LENGTHS["train"]
    half = 1.25
    thing.add("pole", upright([(-0.7, 3.5), (0, 4.3), (0.7, 3.5)], x, z + 2.5), shade=0.7, line=0.1)
    visible = box(thing, "train", (x - half, x + half), (0.15, 3.5), (z, z + length), variant)
    thing.add("train trim", side(visible, 1.6, 3.2, z, z + length), shade=0.8)
    for share in np.arange(6) / 6:
        at = z + 0.3 + share * (length - 0.4)
        thing.add("glass", side(visible, 1.8, 2.8, at, at + 1.1), shade=0.85)
    thing.add("train trim", front(x - half, x + half, 1.5, 3.2, z))
    thing.add("glass", upright([(-1, 1.65), (-0.8, 2.85), (0.8, 2.85), (1, 1.65)], x, z))
    thing.add("lamp", upright(disc(0, 3.2, 0.18), x, z))
    thing.add("lamp", upright(disc(0, 0.95, 0.24), x, z))
    thing.add("tyre", front(x - half, x + half, 0.1, 0.4, z))
    thing.shadow = shadow_under(x + 0.3, z + length / 2, 1.6, length / 2 + 0.3)
    return thing


def vehicle_across(label: str, x: float, z: float, rng: np.random.Generator) -> Thing:
    """Make a vehicle that crosses the street, seen from the side."""
    thing, variant, facing = make_thing(label, z, rng), rng.random(), rng.choice([-1.0, 1.0])
    half = LENGTHS[label] / 2

    def add(
        kind: str,
        outline: Sequence,
        variant: float = variant,
        shade: float = 1.0,
        line: float = 0.0,
    ) -> None:
        thing.add(kind, upright(np.array(outline) * [facing, 1.0], x, z), variant, shade, line)

    {"car": _car_side, "truck": _truck_side, "bus": _bus_side, "train": _train_side}[label](add)
    if label == "truck":
        _truck_cab(add, rng.random())
    wheels = {"car": (-1.05, 1.1), "truck": (-2.1, -1.3, 1.9), "bus": (-2.0, 2.1)}
    for hub in wheels.get(label, ()):
        add("tyre", disc(hub, 0.4, 0.42))
        add("chrome", disc(hub, 0.4, 0.19))
    thing.shadow = shadow_under(x + 0.2, z, half + 0.3, 0.7)
    return thing


def rect(x0: float, x1: float, y0: float, y1: float) -> list[tuple[float, float]]:
    """Return the outline of a rectangle for :func:`.scene.upright`."""
    return [(x0, y0), (x0, y1), (x1, y1), (x1, y0)]


def _car_side(add: Callable[..., None]) -> None:
    lower = [(-1.8, 0.3), (-1.85, 0.95), (1.2, 1.0), (1.8, 0.85), (1.85, 0.3)]
    add("car", [(-1.6, 0.9), (-1.15, 1.65), (0.45, 1.65), (1.15, 0.9)], shade=1.1)
    add("car", lower, shade=0.9)
    add("glass", [(-1.35, 1.0), (-1.0, 1.52), (-0.3, 1.52), (-0.3, 1.0)])
    add("glass", [(-0.15, 1.0), (-0.15, 1.52), (0.38, 1.52), (0.85, 1.0)])
    add("lamp", rect(1.62, 1.84, 0.62, 0.8))
    add("tail lamp", rect(-1.84, -1.65, 0.65, 0.85))


def _truck_side(add: Callable[..., None]) -> None:
    add("tyre", rect(-2.7, 2.7, 0.35, 0.65))
    add("container", rect(-2.8, 1.3, 0.6, 3.1))
    for at in np.linspace(-2.5, 1.0, 6):
        add("container", rect(at - 0.05, at + 0.05, 0.7, 3.0), shade=0.72)


def _truck_cab(add: Callable[..., None], variant: float) -> None:
    add("truck", [(1.4, 0.4), (1.4, 2.45), (2.2, 2.45), (2.75, 1.4), (2.75, 0.4)], variant)
    add("glass", [(1.75, 1.45), (1.75, 2.2), (2.15, 2.2), (2.55, 1.45)])
    add("lamp", rect(2.6, 2.78, 0.6, 0.85))


def _bus_side(add: Callable[..., None]) -> None:
    add("bus", rect(-3.2, 3.2, 0.35, 3.0))
    add("bus trim", rect(-3.2, 3.2, 0.35, 0.7))
    for at in np.arange(6):
        add("glass", rect(-3.0 + at, -2.15 + at, 1.45, 2.45))
    add("glass", rect(2.35, 2.9, 0.6, 2.45), shade=0.8)
    add("bus", rect(-3.2, 3.2, 2.75, 3.0), shade=1.15)
    add("lamp", rect(3.0, 3.22, 0.75, 1.0))


def _train_side(add: Callable[..., None]) -> None:
    add("pole", [(-0.5, 3.4), (0.2, 4.2), (0.9, 3.4)], shade=0.7, line=0.1)
    add("tyre", rect(-4.3, 4.3, 0.05, 0.4))
    add("train", [(-4.5, 0.3), (-4.4, 3.3), (-4.1, 3.5), (4.1, 3.5), (4.4, 3.3), (4.5, 0.3)])
    add("train trim", rect(-4.45, 4.45, 1.5, 3.15))
    for at in np.arange(7):
        add("glass", rect(-4.2 + 1.22 * at, -3.25 + 1.22 * at, 1.75, 2.8))
    add("tyre", rect(-0.12, 0.12, 0.3, 3.4))
