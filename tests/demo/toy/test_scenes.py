"""Toy scenes have exact labels, show all classes, and look different in each domain."""

from dataclasses import replace

import numpy as np
import pytest

from demo.toy import CITY_MODEL, DAYLIGHT, FOG, GAME, NIGHT, OVERCAST, RAIN, SNOW, Domain
from demo.toy.domains import PALETTE
from demo.toy.layout import another_day, random_scene, random_street
from demo.toy.render import render
from demo.toy.scene import Camera, Scene, Thing, disc, front, scene_polygons, upright
from demo.toy.writers import draw_label_ids, label_ids
from mmseg.datasets import CITYSCAPES_CLASSES
from tools.convert_datasets.conversion.label_files import train_id_table

CAMERA = Camera(width=200, height=100, horizon=40, centre=100, focal=200, above=2)


def painted(scene: Scene, domain: Domain) -> np.ndarray:
    return render(scene, domain, np.random.default_rng(0)).astype(float)


def train_ids(scene: Scene) -> np.ndarray:
    size = scene.camera.width, scene.camera.height
    return train_id_table()[draw_label_ids(scene_polygons(scene), *size)]


def test_every_class_occurs_often_enough_to_be_learnt() -> None:
    num_scenes = 60
    images = np.zeros(19)
    for index in range(num_scenes):
        label = train_ids(random_scene(np.random.default_rng([3, index]), 256, 128))
        images += np.bincount(label.ravel(), minlength=256)[:19] > 100
        # Only things labelled static or dynamic have no class.
        assert (label == 255).mean() < 0.06
    rate = dict(zip(CITYSCAPES_CLASSES, images / num_scenes, strict=True))
    assert min(rate.values()) >= 0.15, rate
    assert max(rate[name] for name in ("train", "bus", "truck", "rider", "motorcycle")) <= 0.7


def test_label_follows_the_picture() -> None:
    """A box of 2 m x 3 m at 10 m, 20 pixels per metre, covers 40 x 60 pixels above the ground."""
    backdrop, box = Thing("sky", 0.0), Thing("building", 10.0)
    backdrop.add("sky", front(-90, 90, -40, 90, 50.0))
    box.add("door", front(-1, 1, 0, 3, 10.0))
    scene = Scene(CAMERA, [backdrop, box])
    label = draw_label_ids(scene_polygons(scene), 200, 100)
    ys, xs = np.nonzero(label == label_ids()["building"])
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (20, 80, 80, 120)
    brown = np.abs(painted(scene, GAME) - PALETTE["door"][0]).max(-1) < 25
    assert (brown == (label == label_ids()["building"])).mean() > 0.985


def test_a_camera_aside_and_ahead_sees_things_move() -> None:
    """From 0.5 m to the right and 2 m closer (25 pixels per metre), the box starts at -1.5 m."""
    moved = Camera(200, 100, horizon=40, centre=100, focal=200, above=2, aside=0.5, ahead=2.0)
    corners = moved.project(front(-1, 1, 0, 3, 10.0))
    np.testing.assert_allclose(corners[0], [100 - 1.5 * 25, 40 + 2 * 25])
    np.testing.assert_allclose(corners[2], [100 + 0.5 * 25, 40 - 1 * 25])


def test_two_domains_show_one_scene_differently() -> None:
    """The target is darker by more than 20 of 255 levels, and bluer."""
    scene = random_scene(np.random.default_rng(1), 256, 128)
    source, target = painted(scene, GAME), painted(scene, OVERCAST)
    assert source.shape == target.shape == (128, 256, 3)
    assert source.mean() - target.mean() > 20
    assert np.mean(target[..., 2] - target[..., 0]) > 15 + np.mean(source[..., 2] - source[..., 0])


def test_the_two_sources_differ() -> None:
    """The second is more saturated: its channels differ more."""
    scene = random_scene(np.random.default_rng(1), 256, 128)
    game, model = painted(scene, GAME), painted(scene, CITY_MODEL)
    assert np.ptp(model, axis=-1).mean() > 1.3 * np.ptp(game, axis=-1).mean()
    assert np.abs(model - game).mean() > 15


def test_night_is_dark_and_its_day_is_not() -> None:
    """Most of a night image, above all the sky, is dark but not black; its lamps are bright."""
    scenes = [random_scene(np.random.default_rng([1, index]), 256, 144) for index in range(4)]
    night = np.stack([painted(scene, NIGHT) for scene in scenes])
    day = np.stack([painted(scene, DAYLIGHT) for scene in scenes])
    assert 0.2 < np.median(night) / np.median(day) < 0.65
    assert night[:, :8].mean() < 0.4 * day[:, :8].mean()
    assert np.quantile(night, 0.999) > 220


@pytest.mark.parametrize(("kind", "shade", "lit"), [("red", 1.0, True), ("red", 0.35, False)])
def test_lamps_shine_at_night_unless_they_are_off(kind: str, shade: float, lit: bool) -> None:
    backdrop, lamp = Thing("building", 10.0), Thing("traffic light", 10.0)
    backdrop.add("building", front(-90, 90, -40, 90, 10.0))
    lamp.add(kind, upright(disc(0, 3.0, 0.5), 0.0, 10.0), shade=shade)
    image = painted(Scene(CAMERA, [backdrop, lamp]), NIGHT)
    assert (image[15:25, 95:105, 0].mean() > 180) == lit
    # Its light falls on the wall nearby, but hardly on the wall 4 m away.
    near, away = image[15:25, 111:116, 0].mean(), image[15:25, 176:186, 0].mean()
    assert (near > 1.8 * away) == lit


def test_a_lamp_is_hidden_by_things_in_front_of_it() -> None:
    lamp, wall = Thing("pole", 20.0), Thing("wall", 10.0)
    lamp.add("lamp", upright(disc(0, 2.0, 0.5), 0.0, 20.0))
    wall.add("wall", front(-5, 5, 0, 4, 10.0))
    hidden = painted(Scene(CAMERA, [lamp, wall]), NIGHT)
    assert hidden[35:45, 95:105].max() < 120


def test_fog_hides_what_is_far() -> None:
    """Red walls at 10 m and 60 m: one keeps its colour, the other has the fog's, a grey."""
    near, far = Thing("building", 10.0), Thing("building", 60.0)
    far.add("red", front(-90, 90, -40, 90, 60.0))
    near.add("red", front(-5, 0, 0, 4, 10.0))
    image = painted(Scene(CAMERA, [far, near]), FOG).mean(0)
    redness = image[:, 0] - image[:, 2]
    assert redness[10:90].mean() > 60 > 15 > redness[110:190].mean()


def test_a_wet_road_mirrors_what_stands_above_it() -> None:
    """A red wall over the left half of the road, a green one over the right half."""
    things = [Thing("building", 30.0), Thing("road", 0.0)]
    things[0].add("red", front(-90, 0, 0, 90, 30.0))
    things[0].add("green", front(0, 90, 0, 90, 30.0))
    corners = [(-90, 0, 3), (-90, 0, 30), (90, 0, 30), (90, 0, 3)]
    things[1].add("road", np.array(corners, float))
    wet, dry = (
        painted(Scene(CAMERA, things), replace(RAIN, fall=None, wet=wet)) for wet in (0.45, 0.0)
    )
    redness = [image[60:70, ..., 0] - image[60:70, ..., 1] for image in (wet, dry)]
    left, right = (slice(10, 90), slice(110, 190))
    assert redness[0][:, left].mean() - redness[0][:, right].mean() > 40
    assert abs(redness[1][:, left].mean() - redness[1][:, right].mean()) < 3


def test_snow_falls_before_everything_and_whitens_the_ground() -> None:
    wall = Thing("building", 2.0)
    wall.add("tyre", front(-90, 90, -40, 90, 2.0))
    scene = Scene(CAMERA, [wall])
    clear, flakes = (painted(scene, replace(SNOW, fall=fall)) for fall in (None, SNOW.fall))
    assert clear.max() < 80 and flakes.max() > 150
    assert 0.003 < (flakes.mean(-1) > 80).mean() < 0.05
    street = random_scene(np.random.default_rng(1), 256, 144)
    ground = np.isin(train_ids(street), (1, 9))
    assert painted(street, SNOW)[ground].mean() > 40 + painted(street, OVERCAST)[ground].mean()


def test_another_day_shows_the_same_place_with_other_traffic() -> None:
    """Labels of fixed things agree except for the shift of the camera."""
    agree, moved = [], 0
    for index in range(12):
        rng = np.random.default_rng([5, index])
        night = random_street(rng, 256, 144)
        day = another_day(night, rng)
        assert day.beside is night.beside and day.standing is night.standing
        moved += day.people != night.people
        assert abs(day.camera.aside) < 0.5 and abs(day.camera.ahead) < 1
        first, second = train_ids(night.scene()), train_ids(day.scene())
        still = np.isin(first, (0, 1, 2, 8, 10)) & (second < 11)
        agree.append((first == second)[still].mean())
    assert 0.8 < np.mean(agree) < 0.99
    assert moved == 12


@pytest.mark.parametrize("domain", [OVERCAST, CITY_MODEL, NIGHT, DAYLIGHT, RAIN, SNOW])
def test_every_colour_of_a_domain_replaces_a_known_one(domain: Domain) -> None:
    assert set(domain.palette) <= set(PALETTE)


def test_every_light_of_the_night_is_of_a_known_kind() -> None:
    assert {name.removeprefix("pole ") for name in NIGHT.night.lights} - set(PALETTE) == {
        "bus glass",
        "train glass",
    }
