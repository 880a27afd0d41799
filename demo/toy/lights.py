"""Light in the dark: what shines in a scene, and what its light does to everything around."""

import cv2
import numpy as np

from .canvas import FIXED_POINT, to_fixed
from .domains import Light, Night
from .scene import Camera, Part, Seen, shadow_under

UNLIT = 0.5
"""A lamp whose colour is shaded below this factor is off, as two of a traffic light's three."""

SPREAD = ((0.012, 0.5), (0.05, 0.6), (0.16, 0.8))
"""How light spreads in the image: sigmas in widths of the image, and weights."""
POOL_SPREAD = 0.025
"""How soft the borders of the pools on the ground are, in widths of the image."""
HALO = 0.35
"""Share of the light of a lamp that the lens scatters around it."""
BEAM = (3.2, 16.0, 11.5)
"""The recording car's beam on the road in metres: half its width, its middle, half its length."""
BEAM_COLOUR = (255, 244, 214)


class Lights:
    """Collects the light of one scene in two layers of the size of the canvas.

    ``shining`` holds lamps, lit windows and signals, hidden by what stands before them; ``pools``
    the bright places on the ground.

    Args:
        night: What shines.
        camera: What sees it.
        shape: Rows and columns of the canvas.
        rng: Says which windows are lit.
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
        """Take in a thing: its lamps shine, its other parts hide what is behind them."""
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
        """The image (H, W, 3) float32 of the day -> that of the night."""
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
