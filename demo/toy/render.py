"""Paint a scene in the look of a domain, by day or by night.

The canvas is larger than the image, and coordinates on it are fixed-point numbers.
"""

import math

import cv2
import numpy as np

from .domains import Domain, Fall, Light, Night
from .scene import Camera, Part, Scene, Seen, shadow_under

SUPERSAMPLING = 2
"""Factor by which images are painted larger and then reduced, which smooths the edges."""

FIXED_POINT = 4
"""Number of fractional bits of coordinates for OpenCV."""

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


UNLIT = 0.5
"""A lamp with a shade below this is off, such as two of the three of a traffic light."""

SPREAD = ((0.012, 0.5), (0.05, 0.6), (0.16, 0.8))
"""Spread of light in the image: sigmas as a share of the image width, and weights."""
POOL_SPREAD = 0.025
"""Softness (sigma) of the pools of light on the ground, as a share of the image width."""
HALO = 0.35
"""Share of the light of a lamp that the lens scatters around it."""
BEAM = (3.2, 16.0, 11.5)
"""Beam of the recording car on the road, in metres: half its width, its middle, half its length."""
BEAM_COLOUR = (255, 244, 214)


def render(scene: Scene, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """Render a scene as an RGB image (H, W, 3) uint8."""
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
    if domain.wet:
        ground = cv2.resize(surfaces, (width, height), interpolation=cv2.INTER_NEAREST)
        ground = ground == TEXTURE_NAMES.index(TEXTURES["road"])
        image = mirror(image, ground, round(scene.camera.horizon), domain.wet)
    if domain.fall:
        image = fall_on(image, domain.fall, rng)
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
    """Make the colours (rows, 1, 3) uint8 from the zenith down to the horizon."""
    zenith, low = np.array(domain.colours("sky"), np.float32)
    share = np.clip(np.arange(rows) / horizon, 0, 1)[:, None, None]
    return ((1 - share) * zenith + share * low).astype(np.uint8)


def surface_noise(surfaces: np.ndarray, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """Draw the grain (H, W) float32 of the surfaces in grey levels."""
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


def mirror(image: np.ndarray, ground: np.ndarray, horizon: int, share: float) -> np.ndarray:
    """Mix into the ground (H, W) bool below a row the image above it, upside down and blurred."""
    height = len(image)
    rows = np.clip(2 * horizon - np.arange(horizon, height), 0, height - 1)
    wet = cv2.GaussianBlur(image[rows], (0, 0), sigmaX=1.0, sigmaY=0.03 * height)
    below = image[horizon:]
    mixed = np.where(ground[horizon:, :, None], below + share * (wet - below), below)
    return np.concatenate([image[:horizon], mixed])


def fall_on(image: np.ndarray, fall: Fall, rng: np.random.Generator) -> np.ndarray:
    """Draw rain or snow, the nearest strokes last, before an image (H, W, 3) float32."""
    height, width = image.shape[:2]
    near = np.sort(rng.uniform(0.5, 1, round(fall.density * height * width / 1000)) ** 2)
    starts = rng.uniform(-0.1, 1, (len(near), 2)) * (width, height)
    strokes = to_fixed(np.stack([starts, starts + height * np.outer(near, fall.stroke)], axis=1))
    veil = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    for size, (start, end) in zip(near, strokes.tolist(), strict=True):
        thickness = max(1, round(size * fall.width * len(veil)))
        cv2.line(veil, start, end, 255 * size * fall.opacity, thickness, cv2.LINE_AA, FIXED_POINT)
    veil = cv2.resize(veil, (width, height), interpolation=cv2.INTER_AREA)
    opacity = veil[..., None].astype(np.float32) / 255
    return image + opacity * (np.array(fall.colour, np.float32) - image)


def develop(image: np.ndarray, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """Apply light and camera to the painted image (H, W, 3) float32; return RGB uint8."""
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


class Lights:
    """The light of one scene, collected in two layers of the size of the canvas.

    ``shining`` holds lamps, lit windows and signals, unless something in front hides them;
    ``pools`` holds the bright places on the ground.

    Args:
        night: light of the domain.
        camera: camera of the scene.
        shape: rows and columns of the canvas.
        rng: random generator that chooses which windows are lit.
    """

    def __init__(
        self, night: Night, camera: Camera, shape: tuple[int, int], rng: np.random.Generator
    ) -> None:
        self.night, self.camera, self.rng = night, camera, rng
        self.shining = np.zeros((*shape, 3), np.uint8)
        self.pools = np.zeros((*shape, 3), np.uint8)
        half_width, middle, half_length = BEAM
        beam = shadow_under(camera.aside, camera.ahead + middle, half_width, half_length)
        self._add_pool(beam, [night.headlights * channel for channel in BEAM_COLOUR])

    def add(self, seen: Seen) -> None:
        """Add a thing: its lamps shine, and its other parts hide what is behind them."""
        polygons = seen.split(to_fixed(seen.corners))
        for part, polygon in zip(seen.thing.parts, polygons, strict=True):
            if part.kind is None or part.line:
                continue
            light = self._light_of(seen.thing.label, part)
            colour = (0, 0, 0) if light is None else light.colour
            cv2.fillPoly(self.shining, [polygon], colour, cv2.LINE_AA, FIXED_POINT)
            if light is not None and light.reach:
                x, _, z = part.points.mean(0)
                self._add_pool(shadow_under(x, z, light.reach, 1.3 * light.reach), light.colour)

    def shine_on(self, image: np.ndarray) -> np.ndarray:
        """Turn the image (H, W, 3) float32 of the day into that of the night."""
        height, width = image.shape[:2]
        shining, pools = (
            cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
            for layer in (self.shining, self.pools)
        )
        spread = [weight * _blur(shining, sigma * width) for sigma, weight in SPREAD]
        around = self.night.glow * sum(spread) + _blur(pools, POOL_SPREAD * width)
        lit = image * (np.array(self.night.ambient, np.float32) + around / 255)
        return np.maximum(lit, shining) + HALO * _blur(shining, SPREAD[0][0] * width)

    def _light_of(self, label: str, part: Part) -> Light | None:
        lights = self.night.lights
        light = lights.get(f"{label} {part.kind}", lights.get(part.kind))
        if light is None or part.shade < UNLIT:
            return None
        return light if light.share == 1 or self.rng.random() < light.share else None

    def _add_pool(self, ground: np.ndarray, colour: tuple | list) -> None:
        polygon = to_fixed(self.camera.project(ground))
        cv2.fillPoly(self.pools, [polygon], colour, cv2.LINE_AA, FIXED_POINT)


def _blur(layer: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(layer, (0, 0), sigma)


def to_fixed(pixels: np.ndarray) -> np.ndarray:
    """Convert pixels (N, 2) to fixed-point int32 coordinates of the larger canvas."""
    # The centre of pixel x is the middle of its SUPERSAMPLING columns.
    larger = pixels * SUPERSAMPLING + (SUPERSAMPLING - 1) / 2
    return np.rint(larger * 2**FIXED_POINT).astype(np.int32)


def darken(canvas: np.ndarray, polygon: np.ndarray, factor: float) -> None:
    """Multiply the pixels inside a fixed-point polygon by ``factor``."""
    corners = polygon >> FIXED_POINT
    left, top = np.maximum(corners.min(0), 0)
    right, bottom = corners.max(0) + 2
    area = canvas[top:bottom, left:right]
    if area.size == 0:
        return
    mask = np.zeros(area.shape[:2], np.uint8)
    offset = np.array([left, top], np.int32) << FIXED_POINT
    cv2.fillPoly(mask, [polygon - offset], 1, cv2.LINE_8, FIXED_POINT)
    area[mask > 0] = (area[mask > 0] * factor).astype(np.uint8)
