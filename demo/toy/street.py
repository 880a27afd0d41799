"""Make the fixed parts of a toy street: sky, ground, and lots with buildings on both sides."""

from dataclasses import dataclass

import numpy as np

from .objects import bush, leaves, make_thing, tree
from .scene import Camera, Thing, disc, flat, front, side, upright

FAR = 90.0
"""Distance to the end of the street in metres."""
NEAR = 2.5
"""Distance to the start of the ground in metres, below the lower border of every image."""
GROUND_TINT = 0.012
"""Standard deviation of the tints of large areas; more would colour the whole image."""
DETAILED = 30.0
"""Distance in metres up to which each stone and picket is drawn; farther ones are too small."""


@dataclass(frozen=True)
class Plan:
    """The street from above, in metres; the camera is at X = 0.

    Args:
        left: X of the left kerb.
        right: X of the right kerb.
        pavement: width of the sidewalks.
        verge: width of the grass between sidewalk and lots.
        crossing: Z where a cross street begins, or None.
        crossing_width: width of the cross street.
    """

    left: float
    right: float
    pavement: float
    verge: float
    crossing: float | None
    crossing_width: float

    def kerb(self, sign: int) -> float:
        """Return the X of the kerb on the left (-1) or right (+1) side."""
        return self.left if sign < 0 else self.right

    def lot_line(self, sign: int) -> float:
        """Return the X where the lots begin on the left (-1) or right (+1) side."""
        return self.kerb(sign) + sign * (self.pavement + self.verge)


def background(camera: Camera, rng: np.random.Generator) -> list[Thing]:
    """Make a sky with clouds, a skyline, and the grass below everything."""
    sky = make_thing("sky", 0.0, rng, GROUND_TINT)
    sky.add("sky", front(-2000, 2000, -50, 2000, 500.0))
    for _ in range(rng.integers(1, 5)):
        x, y, width = rng.uniform(-320, 320), rng.uniform(50, 190), rng.uniform(25, 60)
        for puff in rng.uniform(-0.8, 0.8, 4):
            shape = disc(puff * width, y + rng.uniform(0, 6), 0.5 * width, rng.uniform(6, 15))
            sky.add("cloud", upright(shape, x, 499.0))
    grass = make_thing("terrain", 0.0, rng)
    grass.add("terrain", flat(-900, 900, NEAR, 400.0), rng.random())
    things = [sky, grass]
    for x in np.arange(-130, 130, 22):
        if rng.random() < 0.55:
            block = make_thing("building", 130.0, rng)
            height = rng.uniform(9, 24)
            block.add("building", front(x - 9, x + 11, 0, height, 130.0), rng.random())
            _windows_front(block, (x - 9, x + 11), height, 129.9)
            things.append(block)
    for x in np.arange(-90, 91, 9.0) + rng.uniform(-3, 3, 21):
        wood = make_thing("vegetation", 100.0, rng)
        leaves(wood, x, 2.0, rng.uniform(6, 10), rng.uniform(3, 7), rng.random(), rng)
        things.append(wood)
    return things


def ground(plan: Plan, rng: np.random.Generator) -> list[Thing]:
    """Make sidewalks with slabs, the road with its markings, and the cross street."""
    depth = 0.0
    outer = (plan.left - plan.pavement, plan.right + plan.pavement)
    walk = make_thing("sidewalk", depth, rng, GROUND_TINT)
    road = make_thing("road", depth, rng, GROUND_TINT)
    colour = rng.random(2)
    walk.add("sidewalk", flat(*outer, NEAR, FAR), colour[0])
    for z in NEAR + 1.2 * np.arange(30):
        walk.add("slab line", flat(*outer, z, z + 0.05 + z * 0.004))
    for sign in (-1, 1):
        kerb = plan.kerb(sign)
        walk.add("kerb", flat(*sorted((kerb, kerb + sign * 0.28)), NEAR, FAR))
    road.add("road", flat(plan.left, plan.right, NEAR, FAR), colour[1])
    _markings(road, plan, rng)
    things = [walk, road]
    if plan.crossing is not None:
        z0, z1 = plan.crossing, plan.crossing + plan.crossing_width
        across = Thing("sidewalk", depth, tint=walk.tint)
        other = Thing("road", depth, tint=road.tint)
        across.add("sidewalk", flat(-150, 150, z0 - 1.5, z1 + 2.0), colour[0])
        other.add("road", flat(-150, 150, z0, z1), colour[1])
        other.add("road", flat(plan.left, plan.right, z0 - 3.5, z1 + 3), colour[1])
        if rng.random() < 0.6:
            for x in np.arange(plan.left + 0.5, plan.right - 0.4, 1.0):
                other.add("lane", flat(x, x + 0.5, z0 - 3.0, z0 - 1.0))
        things += [across, other]
    return things


def _markings(road: Thing, plan: Plan, rng: np.random.Generator) -> None:
    middle = (plan.left + plan.right) / 2
    if rng.random() < 0.75:
        for z in np.arange(NEAR + rng.uniform(0, 3), 70, 4.5):
            road.add("lane", flat(middle - 0.09, middle + 0.09, z, z + 2.2))
    else:
        for x in (middle - 0.17, middle + 0.07):
            road.add("lane", flat(x, x + 0.11, NEAR, FAR))
    if rng.random() < 0.5:
        for sign in (-1, 1):
            x = plan.kerb(sign) - sign * 0.5
            road.add("lane", flat(x - 0.06, x + 0.06, NEAR, FAR))


def rails(x: float, rng: np.random.Generator) -> Thing:
    """Make the track of a tram, which is labelled as road."""
    thing = make_thing("road", 0.0, rng)
    for rail in (x - 0.72, x + 0.72):
        thing.add("rail", flat(rail - 0.07, rail + 0.07, NEAR, FAR))
    return thing


def lots(plan: Plan, sign: int, rng: np.random.Generator) -> list[Thing]:
    """Make the houses, gardens, walls and parks along one side of the street."""
    things: list[Thing] = []
    z, line = rng.uniform(2.6, 7.0), plan.lot_line(sign)
    makers = (_house_lot, _park, _walled_garden, _fenced_garden)
    while z < 70:
        end = z + rng.uniform(7, 15)
        if plan.crossing is not None and end > plan.crossing - 2.5 and z < plan.crossing:
            end = plan.crossing - 2.5
        if end - z > 3:
            maker = makers[rng.choice(4, p=(0.42, 0.18, 0.2, 0.2))]
            things += maker(line, sign, z, end, rng)
        z = end + rng.choice([0.0, 0.0, 1.5])
        if plan.crossing is not None and plan.crossing - 2.6 < z < plan.crossing:
            z = plan.crossing + plan.crossing_width + 3.0
    return things


def _house_lot(line: float, sign: int, z0: float, z1: float, rng: np.random.Generator) -> list:
    return [house(line, sign, z0, z1, rng.uniform(4.5, 13.0), rng)]


def _park(line: float, sign: int, z0: float, z1: float, rng: np.random.Generator) -> list:
    places = np.arange(z0 + 1, z1, 4.0)
    trees = [tree(line + sign * rng.uniform(1.8, 6), z, rng, rng.uniform(0.9, 1.5)) for z in places]
    return trees + [bush(line + sign * rng.uniform(1, 7), rng.uniform(z0, z1), rng)]


def _walled_garden(line: float, sign: int, z0: float, z1: float, rng: np.random.Generator) -> list:
    behind = _park(line + sign * 1.5, sign, z0, z1, rng)
    if rng.random() < 0.4:
        behind.append(house(line + sign * 4, sign, z0, z1, rng.uniform(4, 8), rng))
    return [*behind, wall(line, sign, z0, z1, rng)]


def _fenced_garden(line: float, sign: int, z0: float, z1: float, rng: np.random.Generator) -> list:
    behind = [house(line + sign * 3.0, sign, z0, z1, rng.uniform(3.5, 8), rng)]
    if rng.random() < 0.5:
        behind = [bush(line + sign * 1.3, z, rng, 1.2) for z in np.arange(z0 + 1, z1, 2.5)]
    return [*behind, fence(line, sign, z0, z1, rng)]


def wall(line: float, sign: int, z0: float, z1: float, rng: np.random.Generator) -> Thing:
    """Make a garden wall with courses of stones and a coping."""
    thing = make_thing("wall", z0, rng)
    height, variant = rng.uniform(1.8, 2.9), rng.random()
    thing.add("wall", front(*sorted((line, line + sign * 0.4)), 0, height, z0), variant, 1.1)
    thing.add("wall", side(line, 0, height, z0, z1), variant)
    courses = np.arange(0.45, height, 0.45)
    for row, y in enumerate(courses):
        thing.add("wall", side(line, y, y + 0.07, z0, z1), variant, 0.72)
        for z in np.arange(z0 + 0.6 * (row % 2), min(z1 - 0.1, DETAILED), 1.2):
            thing.add("wall", side(line, y - 0.4, y, z, z + 0.07), variant, 0.78)
    thing.add("wall", side(line, height - 0.2, height + 0.06, z0, z1), variant, 1.22)
    return thing


def fence(line: float, sign: int, z0: float, z1: float, rng: np.random.Generator) -> Thing:
    """Make a picket fence; the label covers the gaps, as in Cityscapes."""
    thing = make_thing("fence", z0, rng)
    height, variant = rng.uniform(1.4, 2.0), rng.random()
    thing.add(None, side(line, 0, height, z0, z1))
    for y in (0.3, 0.75 * height):
        thing.add("fence", side(line, y, y + 0.15, z0, z1), variant, 0.8)
    for z in np.arange(z0, z1 - 0.2, 0.55 if z0 < DETAILED else 1.5):
        picket = [(line, 0, z), (line, height, z), (line, height + 0.18, z + 0.14)]
        thing.add("fence", [*picket, (line, height, z + 0.28), (line, 0, z + 0.28)], variant)
    return thing


def house(
    line: float, sign: int, z0: float, z1: float, height: float, rng: np.random.Generator
) -> Thing:
    """Make a house with windows, a door or a shop, and a flat or pitched roof."""
    thing = make_thing("building", z0, rng)
    variant, width = rng.random(), rng.uniform(6, 9)
    across = tuple(sorted((line, line + sign * width)))
    pitched = height < 9 and rng.random() < 0.75
    if pitched:
        roof, ridge, top = rng.random(), line + sign * width / 2, height + rng.uniform(1.6, 2.8)
        gable = [(line, height, z0), (ridge, top, z0), (line + sign * width, height, z0)]
        thing.add("building", gable, variant, 1.05)
        eave = line - sign * 0.3
        slope = [(eave, height - 0.1, z0), (eave, height - 0.1, z1), (ridge, top, z1)]
        thing.add("roof", [*slope, (ridge, top, z0)], roof)
    thing.add("building", side(line, 0, height, z0, z1), variant, 0.88)
    thing.add("building", front(*across, 0, height, z0), variant, 1.05)
    if not pitched:
        thing.add("building", side(line, height - 0.35, height, z0, z1), variant, 1.2)
    _windows_front(thing, across, height, z0)
    _windows_side(thing, line, height, z0, z1, shop=rng.random() < 0.35, rng=rng)
    return thing


def _windows_front(thing: Thing, across: tuple[float, float], height: float, z: float) -> None:
    for y in np.arange(1.0, height - 1.4, 2.7):
        for x in np.arange(across[0] + 0.9, across[1] - 1.2, 2.1):
            thing.add("frame", front(x - 0.14, x + 1.14, y - 0.14, y + 1.59, z))
            thing.add("window", front(x, x + 1.0, y, y + 1.45, z), shade=1.05)


def _windows_side(
    thing: Thing,
    line: float,
    height: float,
    z0: float,
    z1: float,
    shop: bool,
    rng: np.random.Generator,
) -> None:
    columns = np.arange(z0 + 0.8, z1 - 1.4, 2.2 if z0 < DETAILED else 4.0)
    for floor, y in enumerate(np.arange(1.0, height - 1.4, 2.7)):
        if shop and floor == 0:
            thing.add("window", side(line, 0.5, 2.3, z0 + 0.5, z1 - 0.5), shade=0.9)
            thing.add("awning", side(line, 2.3, 3.0, z0 + 0.3, z1 - 0.3), rng.random())
            continue
        for z in columns:
            thing.add("frame", side(line, y - 0.14, y + 1.59, z - 0.14, z + 1.24))
            thing.add("window", side(line, y, y + 1.45, z, z + 1.1), shade=rng.uniform(0.8, 1.1))
    if not shop and len(columns):
        door = columns[len(columns) // 2]
        thing.add("door", side(line, 0, 2.2, door, door + 1.1), rng.random())
