"""Paint a scene in the look of a domain."""

import math

import cv2
import numpy as np

from .canvas import FIXED_POINT, SUPERSAMPLING, darken, to_fixed
from .domains import Domain
from .lights import Lights
from .scene import Camera, Scene, Seen

TEXTURES = {
    "road": "grain",
    "sidewalk": "grain",
    "kerb": "grain",
    "slab line": "grain",
    "lane": "grain",
    "terrain": "grass",
    "vegetation": "leaves",
    "conifer": "leaves",
    "building": "plaster",
    "roof": "grain",
    "wall": "stone",
}
TEXTURE_NAMES = ("smooth", "grain", "grass", "leaves", "plaster", "stone")


def render(scene: Scene, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """A scene as an RGB image (H, W, 3) uint8."""
    height, width = scene.camera.height, scene.camera.width
    size = (height * SUPERSAMPLING, width * SUPERSAMPLING)
    canvas = np.zeros((*size, 3), np.uint8)
    surfaces = np.zeros(size, np.uint8)
    lights = domain.night and Lights(domain.night, scene.camera, size, rng)
    for seen in scene.seen:
        paint(canvas, surfaces, seen, scene.camera, domain)
        if lights:
            lights.add(seen)
    textured = canvas.astype(np.float32) + surface_noise(surfaces, domain, rng)[..., None]
    image = cv2.resize(textured, (width, height), interpolation=cv2.INTER_AREA)
    if lights:
        image = lights.shine_on(image)
    return develop(image, domain, rng)


def paint(
    canvas: np.ndarray, surfaces: np.ndarray, seen: Seen, camera: Camera, domain: Domain
) -> None:
    """Paint a thing's colours on ``canvas`` (H, W, 3) and its surface kinds on ``surfaces``."""
    thing = seen.thing
    if thing.shadow is not None and domain.shadow > 0:
        darken(canvas, to_fixed(camera.project(thing.shadow)), 1 - domain.shadow)
    clear = math.exp(-domain.haze * thing.depth)
    light = [clear * factor for factor in thing.tint]
    haze = [(1 - clear) * colour for colour in domain.haze_colour]
    for part, polygon in zip(thing.parts, seen.split(to_fixed(seen.corners)), strict=True):
        if part.kind is None:
            continue
        if part.kind == "sky":
            canvas[:] = sky_gradient(canvas.shape[0], camera.horizon * SUPERSAMPLING, domain)
            continue
        colours = domain.colours(part.kind)
        base = colours[int(part.variant * len(colours))]
        # Plain Python: thousands of parts an image, three numbers each.
        colour = [
            min(c * part.shade * k + h, 255.0) for c, k, h in zip(base, light, haze, strict=True)
        ]
        if part.line:
            thickness = max(1, round(part.line * camera.scale(thing.depth) * SUPERSAMPLING))
            cv2.polylines(canvas, [polygon], True, colour, thickness, cv2.LINE_AA, FIXED_POINT)
            continue
        cv2.fillPoly(canvas, [polygon], colour, cv2.LINE_AA, FIXED_POINT)
        surface = TEXTURE_NAMES.index(TEXTURES.get(part.kind, "smooth"))
        cv2.fillPoly(surfaces, [polygon], surface, cv2.LINE_8, FIXED_POINT)


def sky_gradient(rows: int, horizon: float, domain: Domain) -> np.ndarray:
    """Colours (rows, 1, 3) from the zenith down to the horizon."""
    zenith, low = np.array(domain.colours("sky"), np.float32)
    share = np.clip(np.arange(rows) / horizon, 0, 1)[:, None, None]
    return ((1 - share) * zenith + share * low).astype(np.uint8)


def surface_noise(surfaces: np.ndarray, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """Grain (H, W) float32 in grey levels for every kind of surface."""
    white = rng.standard_normal(surfaces.shape, np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), 1.5)
    blotches = cv2.GaussianBlur(white, (0, 0), 5) * 17
    noise = {
        "smooth": np.zeros_like(white),
        "grain": 3.0 * white + 2.0 * blotches,
        "grass": 50.0 * cv2.blur(white, (1, 5)) * 0.45 + 4.0 * blotches,
        "leaves": 70.0 * soft + 6.0 * white,
        "plaster": 2.0 * white + 3.0 * blotches,
        "stone": 4.0 * white + 24.0 * soft,
    }
    chosen = np.zeros_like(white)
    for number, name in enumerate(TEXTURE_NAMES):
        chosen = np.where(surfaces == number, noise[name], chosen)
    return domain.texture * chosen


def develop(image: np.ndarray, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """What light and camera do to the painted image (H, W, 3) float32: -> RGB uint8."""
    height, width = image.shape[:2]
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    image = grey[..., None] + domain.saturation * (image - grey[..., None])
    exposure = domain.exposure * (1 + domain.exposure_spread * rng.standard_normal())
    image = image * (exposure * np.array(domain.cast, np.float32))
    image = 255 * (np.clip(image, 0, 255) / 255) ** domain.gamma
    if domain.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), domain.blur)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    sideways = 1 + 0.05 * rng.uniform(-1, 1) * x
    image = image * (sideways * (1 - domain.vignette * (x**2 + y**2) / 2))[..., None]
    image = image + domain.noise * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
