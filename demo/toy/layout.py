"""Lay out random, plausible street scenes from a seed."""

from dataclasses import dataclass, replace

import numpy as np

from .objects import bin_or_box, bush, dog, make_thing, person, pole, tree, two_wheeler
from .scene import Camera, Scene, Thing, disc, upright
from .street import Plan, background, ground, lots, rails
from .vehicles import (
    LENGTHS,
    bus_along,
    car_along,
    train_along,
    truck_along,
    vehicle_across,
)

ALONG = {"car": car_along, "truck": truck_along, "bus": bus_along, "train": train_along}
KINDS = ("car", "truck", "bus", "train")


@dataclass(frozen=True)
class Street:
    """A street at one moment.

    Args:
        camera: camera that sees it.
        plan: the street from above.
        backdrop: sky, skyline and ground, in drawing order.
        beside: houses, gardens and walls.
        standing: poles, street trees, bins.
        people: pedestrians and two-wheelers, a dog.
        traffic: vehicles along the street.
        crossing: vehicles on the cross street.
    """

    camera: Camera
    plan: Plan
    backdrop: list[Thing]
    beside: list[Thing]
    standing: list[Thing]
    people: list[Thing]
    traffic: list[Thing]
    crossing: list[Thing]

    def scene(self) -> Scene:
        """Return the scene that the camera sees."""
        within = self.standing + self.people + self.traffic
        near = far_to_near(self.plan, self.beside, within, self.crossing)
        return Scene(self.camera, self.backdrop + near)


def random_scene(
    rng: np.random.Generator, width: int, height: int, ego_vehicle: bool = False
) -> Scene:
    """Make a random street scene.

    Args:
        rng: the only source of randomness.
        width: image width in pixels.
        height: image height in pixels.
        ego_vehicle: whether to add the bonnet of the recording car at the lower border.
    """
    scene = random_street(rng, width, height).scene()
    if ego_vehicle:
        scene.things.append(bonnet(scene.camera, rng))
    return scene


def random_street(rng: np.random.Generator, width: int, height: int) -> Street:
    """Make a random street.

    Args:
        rng: the only source of randomness.
        width: image width in pixels.
        height: image height in pixels.
    """
    camera = Camera(
        width=width,
        height=height,
        horizon=height * rng.uniform(0.38, 0.47),
        centre=width * rng.uniform(0.4, 0.6),
        focal=width * rng.uniform(0.76, 0.86),
        above=rng.uniform(2.1, 2.5),
    )
    plan = random_plan(rng)
    things = ground(plan, rng)
    beside = lots(plan, -1, rng) + lots(plan, 1, rng)
    traffic, tracks = vehicles(plan, rng)
    standing, walking = roadside(plan, rng), people(plan, rng)
    crossing = [] if plan.crossing is None else crossing_traffic(plan, rng)
    backdrop = background(camera, rng) + things + tracks
    return Street(camera, plan, backdrop, beside, standing, walking, traffic, crossing)


def another_day(street: Street, rng: np.random.Generator) -> Street:
    """Return the same place at another time: a camera nearby, other traffic and other people."""
    camera = replace(
        street.camera,
        horizon=street.camera.horizon + street.camera.height * rng.uniform(-0.015, 0.015),
        centre=street.camera.centre + street.camera.width * rng.uniform(-0.02, 0.02),
        aside=rng.uniform(-0.35, 0.35),
        ahead=rng.uniform(-0.6, 0.6),
    )
    traffic, crossing = street.traffic, street.crossing
    if rng.random() < 0.7:
        # Trams stay where their rails are: the place has none elsewhere.
        traffic = [thing for thing in traffic if thing.label == "train"]
        if not traffic:
            traffic = [thing for thing in vehicles(street.plan, rng)[0] if thing.label != "train"]
    if street.plan.crossing is not None and rng.random() < 0.7:
        crossing = crossing_traffic(street.plan, rng)
    walking = people(street.plan, rng)
    return replace(street, camera=camera, traffic=traffic, crossing=crossing, people=walking)


def random_plan(rng: np.random.Generator) -> Plan:
    """Draw the widths of the street, and whether another street crosses it."""
    half, shift = rng.uniform(3.3, 4.3), rng.uniform(-0.9, 0.9)
    crossing = rng.uniform(15, 24) if rng.random() < 0.55 else None
    verge = rng.uniform(0.8, 2.6) if rng.random() < 0.55 else 0.0
    return Plan(
        left=-half + shift,
        right=half + shift,
        pavement=rng.uniform(1.7, 2.7),
        verge=verge,
        crossing=crossing,
        crossing_width=rng.uniform(4.5, 6.5),
    )


def far_to_near(
    plan: Plan, beside: list[Thing], within: list[Thing], crossing: list[Thing]
) -> list[Thing]:
    """Return the things in drawing order.

    Houses never hide what stands in the street in front of them, at any depth; but those on this
    side of the cross street hide the traffic on it.
    """

    def ordered(things: list[Thing], near: float, far: float) -> list[Thing]:
        chosen = [thing for thing in things if near <= thing.depth < far]
        return sorted(chosen, key=lambda thing: -thing.depth)

    split = 0.0 if plan.crossing is None else plan.crossing
    beyond = ordered(beside, split, np.inf) + ordered(within, split, np.inf)
    return beyond + crossing + ordered(beside, 0, split) + ordered(within, 0, split)


def on_crossing(plan: Plan, z: float) -> bool:
    """Tell whether ``z`` is on the cross street or its sidewalks."""
    if plan.crossing is None:
        return False
    return plan.crossing - 1.5 < z < plan.crossing + plan.crossing_width + 2.0


def roadside(plan: Plan, rng: np.random.Generator) -> list[Thing]:
    """Make poles with signs and lights, street trees, bins and boxes."""
    things: list[Thing] = []
    for sign in (-1, 1):
        kerb = plan.kerb(sign)
        for z in np.arange(rng.uniform(8.5, 12), 55, rng.uniform(7, 12)):
            if not on_crossing(plan, z):
                top = str(rng.choice(["light", "sign", "lamp"], p=(0.3, 0.42, 0.28)))
                things += pole(kerb + sign * 0.45, z + rng.uniform(-1, 1), rng, top)
        if plan.verge > 1.2:
            middle = kerb + sign * (plan.pavement + plan.verge / 2)
            for z in np.arange(rng.uniform(10, 15), 60, rng.uniform(7, 14)):
                if not on_crossing(plan, z):
                    make = tree if rng.random() < 0.6 else bush
                    things.append(make(middle, z, rng, 0.85))
        if rng.random() < 0.3:
            things.append(bin_or_box(kerb + sign * 0.9, rng.uniform(9, 16), rng))
    return things


def people(plan: Plan, rng: np.random.Generator) -> list[Thing]:
    """Make pedestrians on the sidewalks and the road, two-wheelers ridden and parked, and a dog."""
    things: list[Thing] = []
    for _ in range(rng.poisson(2.6)):
        sign = rng.choice([-1, 1])
        x = plan.kerb(sign) + sign * rng.uniform(0.5, plan.pavement)
        things.append(person(x, rng.uniform(9, 26), rng))
    if rng.random() < 0.3:
        z = rng.uniform(10, 18) if plan.crossing is None else plan.crossing - 2
        for _ in range(rng.integers(1, 4)):
            x = rng.uniform(plan.left, plan.right)
            things.append(person(x, z + rng.uniform(-0.6, 0.6), rng))
    for label in ("bicycle", "motorcycle"):
        if rng.random() < 0.3:
            x, z = rng.uniform(plan.left + 0.6, plan.right - 0.6), rng.uniform(7.8, 15)
            things += two_wheeler(label, x, z, rng, ridden=True)
        if rng.random() < 0.22:
            sign = rng.choice([-1, 1])
            x = plan.kerb(sign) + sign * rng.uniform(0.7, 1.4)
            things += two_wheeler(label, x, rng.uniform(8.5, 14), rng, ridden=False)
    if rng.random() < 0.08:
        sign = rng.choice([-1, 1])
        things.append(dog(plan.kerb(sign) + sign, rng.uniform(9, 14), rng))
    return things


def vehicles(plan: Plan, rng: np.random.Generator) -> tuple[list[Thing], list[Thing]]:
    """Make the traffic of both lanes with parked cars, and the tracks of its trams."""
    things, tracks = [], []
    for sign in (-1, 1):
        lane = (plan.left + plan.right) / 2 + sign * (plan.right - plan.left) / 4
        z = rng.uniform(9, 22)
        while z < 60 and rng.random() < 0.75:
            label = str(rng.choice(KINDS, p=(0.56, 0.16, 0.15, 0.13)))
            if not on_crossing(plan, z) and not on_crossing(plan, z + LENGTHS[label]):
                things.append(ALONG[label](lane + rng.uniform(-0.2, 0.2), z, rng))
                if label == "train":
                    tracks.append(rails(lane, rng))
            z += LENGTHS[label] + rng.uniform(4, 16)
        if rng.random() < 0.4:
            for z in np.arange(rng.uniform(10, 20), 45, rng.uniform(5, 9)):
                if not on_crossing(plan, z) and not on_crossing(plan, z + 3.6):
                    things.append(car_along(plan.kerb(sign) - sign * 0.5, z, rng))
    return things, tracks


def crossing_traffic(plan: Plan, rng: np.random.Generator) -> list[Thing]:
    """Make vehicles on the cross street, seen from the side."""
    things: list[Thing] = []
    z = plan.crossing + 0.35 * plan.crossing_width
    x = rng.uniform(-11, -3)
    while x < 11:
        label = str(rng.choice(KINDS, p=(0.46, 0.18, 0.19, 0.17)))
        if rng.random() < 0.6:
            things.append(vehicle_across(label, x + LENGTHS[label] / 2, z, rng))
        x += LENGTHS[label] + rng.uniform(0.8, 6)
    return things


def bonnet(camera: Camera, rng: np.random.Generator) -> Thing:
    """Make the bonnet of the recording car, which training ignores as in Cityscapes."""
    thing = make_thing("ego vehicle", 0.0, rng)
    z = 1.0
    scale = camera.scale(z)
    x = (camera.width / 2 - camera.centre) / scale
    bottom = camera.above - (camera.height - camera.horizon) / scale
    rise = rng.uniform(0.05, 0.08) * camera.height / scale
    shape = np.array(disc(0, bottom, 0.46 * camera.width / scale, rise, 40))
    thing.add("bonnet", upright(shape, x, z))
    thing.add("bonnet", upright(shape * [0.8, 1] - [0, 0.35 * rise], x, z), shade=1.35)
    return thing
