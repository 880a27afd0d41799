"""Make the things in a toy street: people, two-wheelers, poles, trees, street furniture.

The functions return things at ``x``, ``z`` in metres. They are slightly larger than life, so that
they are recognisable in small images.
"""

from collections.abc import Callable

import numpy as np

from .scene import Thing, disc, front, shadow_under, upright


def make_thing(label: str, depth: float, rng: np.random.Generator, tint: float = 0.03) -> Thing:
    """Make a thing without parts; ``tint`` is the standard deviation of a factor on its colours."""
    return Thing(label, depth, tint=tuple(rng.normal(1.0, tint, 3).tolist()))


def person(x: float, z: float, rng: np.random.Generator, label: str = "person") -> Thing:
    """Make a person who walks or stands."""
    thing = make_thing(label, z, rng)
    size = rng.uniform(1.0, 1.18) if rng.random() < 0.85 else rng.uniform(0.7, 0.85)
    stride, shirt, trousers, skin = rng.uniform(0.05, 0.3), *rng.random(3)

    def add(kind: str, outline: list, variant: float = 0.0, shade: float = 1.0) -> None:
        thing.add(kind, upright(np.array(outline) * size, x, z), variant, shade)

    for foot, shade in ((-stride, 0.85), (stride, 1.0)):
        leg = [(foot - 0.12, 0), (foot + 0.14, 0), (0.17, 0.9), (-0.17, 0.9)]
        add("trousers", leg, trousers, shade)
    skirt = rng.random() < 0.3
    hem = 0.36 if skirt else 0.24
    for arm in (-1, 1):
        add(
            "shirt", [(arm * 0.2, 1.45), (arm * 0.42, 0.85), (arm * 0.3, 0.8), (0, 1.4)], shirt, 0.8
        )
    add("shirt", [(-hem, 0.62 if skirt else 0.8), (-0.27, 1.48), (0.27, 1.48), (hem, 0.7)], shirt)
    add("skin", disc(0, 1.66, 0.18, 0.21), skin)
    hair = [(-0.2, 1.66), (-0.17, 1.86), (0, 1.92), (0.17, 1.86), (0.2, 1.66), (0, 1.74)]
    add("hair", hair, rng.random())
    thing.shadow = shadow_under(x + 0.25, z, 0.55, 0.3)
    return thing


def two_wheeler(
    label: str, x: float, z: float, rng: np.random.Generator, ridden: bool
) -> list[Thing]:
    """Make a bicycle or motorcycle, seen from the side or half turned, with its rider or parked."""
    facing = rng.choice([-1.0, 1.0])
    turn = rng.uniform(-0.9, 0.9)
    thing = make_thing(label, z, rng)
    paint = rng.random()

    def add(kind: str | None, outline: list, shade: float = 1.0, line: float = 0.0) -> None:
        outline = np.array(outline) * [facing, 1.0]
        thing.add(kind, upright(outline, x, z, turn), paint, shade, line)

    (_bicycle if label == "bicycle" else _motorcycle)(add)
    thing.shadow = shadow_under(x, z, 1.1, 0.3)
    return [thing, _rider(label, x, z, facing, turn, rng)] if ridden else [thing]


def _bicycle(add: Callable[..., None]) -> None:
    for hub in (-0.62, 0.62):
        add(None, disc(hub, 0.42, 0.42))
        add("tyre", disc(hub, 0.42, 0.4), line=0.09)
        add("spokes", disc(hub, 0.42, 0.3), line=0.03)
    frame = [(-0.62, 0.42), (-0.25, 1.0), (0.45, 1.0), (-0.02, 0.45)]
    add("bicycle", frame, line=0.09)
    add("bicycle", [(0.62, 0.42), (0.47, 1.25), (0.54, 1.25), (0.68, 0.42)], line=0.05)
    add("tyre", [(-0.45, 1.05), (-0.1, 1.05), (-0.1, 1.14), (-0.45, 1.14)])
    add("tyre", [(0.3, 1.22), (0.62, 1.22), (0.62, 1.3), (0.3, 1.3)])


def _motorcycle(add: Callable[..., None]) -> None:
    for hub in (-0.78, 0.8):
        add("tyre", disc(hub, 0.38, 0.38))
        add("chrome", disc(hub, 0.38, 0.17))
    add("chrome", [(-0.5, 0.25), (0.45, 0.25), (0.4, 0.6), (-0.4, 0.6)], 0.75)
    add("chrome", [(0.72, 0.4), (0.88, 0.4), (0.6, 1.2), (0.46, 1.2)])
    body = [(-1.0, 0.75), (-1.05, 0.95), (-0.3, 0.92), (0.1, 1.12), (0.6, 1.05), (0.65, 0.75)]
    add("motorcycle", [*body, (0.2, 0.5), (-0.4, 0.5)])
    add("tyre", [(-0.95, 0.93), (-0.2, 0.88), (-0.05, 1.02), (-0.9, 1.06)])
    add("lamp", disc(0.68, 1.02, 0.13))
    add("tyre", [(0.3, 1.2), (0.62, 1.2), (0.62, 1.3), (0.3, 1.3)])


def _rider(
    mount: str, x: float, z: float, facing: float, turn: float, rng: np.random.Generator
) -> Thing:
    thing = make_thing("rider", z, rng)
    vest, trousers = rng.random(2)

    def add(kind: str, outline: list, variant: float = 0.0, shade: float = 1.0) -> None:
        outline = np.array(outline) * [facing, 1.0]
        thing.add(kind, upright(outline, x, z - 0.01, turn), variant, shade)

    foot = (0.05, 0.28) if mount == "bicycle" else (0.0, 0.4)
    leg = [(-0.35, 1.15), (0.22, 0.95), foot, (foot[0] - 0.22, foot[1]), (-0.05, 0.85)]
    add("trousers", [*leg, (-0.4, 0.98)], trousers)
    add("vest", [(-0.45, 1.05), (-0.12, 1.75), (0.2, 1.72), (-0.02, 1.05)], vest)
    add("vest", [(0.0, 1.7), (0.18, 1.6), (0.58, 1.28), (0.45, 1.2), (0.02, 1.42)], vest, 0.8)
    add("skin", disc(0.18, 1.92, 0.17, 0.2), rng.random())
    helmet = [(-0.07, 1.92), (-0.05, 2.1), (0.12, 2.2), (0.32, 2.12), (0.4, 1.97), (0.2, 2.0)]
    add("helmet", helmet, rng.random())
    return thing


def pole(x: float, z: float, rng: np.random.Generator, top: str) -> list[Thing]:
    """Make a pole with a ``"light"``, a ``"sign"`` or a ``"lamp"`` (street lamp) at its top."""
    height = {"light": rng.uniform(3.4, 4.4), "sign": rng.uniform(2.6, 3.4), "lamp": 6.0}[top]
    thing = make_thing("pole", z, rng)
    shade, inward = rng.uniform(0.8, 1.2), -np.sign(x)
    thing.add("pole", front(x - 0.11, x + 0.11, 0, height, z), shade=shade)
    if top == "lamp":
        thing.add("pole", front(x, x + inward * 1.3, height - 0.16, height + 0.05, z), shade=shade)
        end = (x + inward * 1.1, x + inward * 1.6)
        thing.add("lamp", front(*end, height - 0.12, height + 0.12, z))
        return [thing]
    make = _traffic_light if top == "light" else _traffic_sign
    return [thing, make(x, height, z - 0.01, rng)]


def _traffic_light(x: float, y: float, z: float, rng: np.random.Generator) -> Thing:
    thing = make_thing("traffic light", z, rng)
    thing.add("light box", front(x - 0.36, x + 0.36, y - 1.0, y + 0.8, z), rng.random())
    lit = rng.integers(3)
    for place, kind in enumerate(("green", "amber", "red")):
        lamp = disc(0, y - 0.65 + 0.55 * place, 0.23)
        thing.add(kind, upright(lamp, x, z), shade=1.0 if place == lit else 0.35)
    return thing


def _traffic_sign(x: float, y: float, z: float, rng: np.random.Generator) -> Thing:
    thing = make_thing("traffic sign", z, rng)
    style, size = rng.integers(4), rng.uniform(0.5, 0.65)
    if style == 0:
        thing.add("sign red", upright(disc(0, y, size), x, z))
        thing.add("sign white", upright(disc(0, y, 0.62 * size), x, z))
    elif style == 1:
        triangle = np.array([(-1.15, -0.75), (1.15, -0.75), (0, 1.15)]) * size
        thing.add("sign red", upright(triangle + [0, y], x, z))
        thing.add("sign white", upright(0.5 * triangle + [0, y - 0.06], x, z))
    elif style == 2:
        thing.add("sign blue", front(x - size, x + size, y - size, y + size, z))
        half = np.array([(0.2, -0.7), (0.2, 0), (0.5, 0), (0, 0.75)])
        arrow = np.concatenate([half, half[-2::-1] * [-1, 1]])
        thing.add("sign white", upright(arrow * size + [0, y], x, z))
    else:
        thing.add("sign white", upright(np.array(disc(0, 0, 1.1 * size, corners=4)) + [0, y], x, z))
        thing.add("sign yellow", upright(disc(0, y, 0.8 * size, corners=4), x, z))
    return thing


def tree(x: float, z: float, rng: np.random.Generator, size: float = 1.0) -> Thing:
    """Make a tree; trunk and crown are labelled vegetation, as in Cityscapes."""
    thing = make_thing("vegetation", z, rng)
    trunk, radius = rng.uniform(1.4, 2.2) * size, rng.uniform(1.3, 1.9) * size
    variant = rng.random()
    thing.add("trunk", front(x - 0.17, x + 0.17, 0, trunk + 0.5, z))
    conifer = rng.random() < 0.25
    if conifer:
        for level in range(3):
            base, reach = trunk * 0.5 + level * radius * 0.8, radius * (1 - 0.25 * level)
            layer = [(-reach, base), (reach, base), (0, base + 1.6 * radius)]
            thing.add("conifer", upright(layer, x, z), variant, 0.85 + 0.12 * level)
    else:
        leaves(thing, x, trunk + 0.8 * radius, radius, radius * rng.uniform(0.9, 1.3), variant, rng)
    thing.shadow = shadow_under(x + 0.8, z, radius, 0.5)
    return thing


def bush(x: float, z: float, rng: np.random.Generator, size: float = 1.0) -> Thing:
    """Make a bush, with leaves down to the ground."""
    thing = make_thing("vegetation", z, rng)
    radius = rng.uniform(0.7, 1.2) * size
    leaves(thing, x, 0.6 * radius, radius, 0.8 * radius, rng.random(), rng)
    return thing


def leaves(
    thing: Thing, x: float, y: float, rx: float, ry: float, variant: float, rng: np.random.Generator
) -> None:
    """Add a crown of clumps, darker below and lighter towards the sun at the upper left."""
    z = thing.depth
    thing.add("vegetation", upright(disc(0, y, rx, ry), x, z), variant, 0.8)
    for angle in np.arange(7) * 2 * np.pi / 7 + rng.uniform(0, 1):
        clump = disc(0.7 * rx * np.cos(angle), y + 0.7 * ry * np.sin(angle), 0.48 * rx, 0.45 * ry)
        shade = 0.95 + 0.2 * np.sin(angle + 0.5)
        thing.add("vegetation", upright(clump, x, z), variant, shade)
    light = disc(-0.25 * rx, y + 0.3 * ry, 0.5 * rx, 0.42 * ry)
    thing.add("vegetation", upright(light, x, z), variant, 1.18)


def bin_or_box(x: float, z: float, rng: np.random.Generator) -> Thing:
    """Make a litter bin or letter box; its label, static, is none of the 19 classes."""
    thing = make_thing("static", z, rng)
    variant = rng.random()
    thing.add("bin", front(x - 0.35, x + 0.35, 0, 1.1, z), variant)
    thing.add("bin", front(x - 0.42, x + 0.42, 0.95, 1.2, z), variant, 0.7)
    return thing


def dog(x: float, z: float, rng: np.random.Generator) -> Thing:
    """Make a dog; its label, dynamic, is none of the 19 classes."""
    thing = make_thing("dynamic", z, rng)
    facing, variant = rng.choice([-1.0, 1.0]), rng.random()
    outline = [(-0.5, 0), (-0.4, 0), (-0.35, 0.3), (0.25, 0.3), (0.3, 0), (0.4, 0), (0.45, 0.6)]
    outline += [(0.75, 0.65), (0.7, 0.85), (0.4, 0.95), (0.3, 0.62), (-0.5, 0.6), (-0.75, 0.9)]
    thing.add("dog", upright(np.array(outline) * [facing, 1], x, z), variant)
    thing.shadow = shadow_under(x, z, 0.6, 0.2)
    return thing
