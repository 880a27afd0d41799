"""The looks of the domains: colours, light and camera, one row for each domain.

The scenes of all domains have the same layouts. To widen or narrow the gap between two domains,
change their rows; to add a domain, add a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Colour = tuple[int, int, int]

PALETTE: Mapping[str, tuple[Colour, ...]] = {
    "road": ((112, 110, 116), (126, 122, 124), (98, 98, 106)),
    "lane": ((240, 238, 228),),
    "rail": ((70, 62, 58),),
    "sidewalk": ((205, 188, 172), (192, 180, 170), (214, 200, 176)),
    "slab line": ((172, 156, 142),),
    "kerb": ((228, 222, 212),),
    "terrain": ((158, 176, 84), (140, 168, 78), (178, 172, 98)),
    "vegetation": ((62, 122, 50), (84, 140, 52), (44, 104, 58), (112, 136, 44)),
    "conifer": ((36, 92, 62), (48, 102, 56)),
    "trunk": ((104, 74, 50),),
    "sky": ((98, 170, 238), (206, 230, 248)),
    "cloud": ((246, 250, 252),),
    "building": (
        (178, 98, 78),
        (222, 200, 160),
        (208, 162, 104),
        (146, 154, 172),
        (206, 150, 138),
        (190, 186, 178),
        (160, 120, 100),
    ),
    "roof": ((156, 66, 48), (112, 70, 60), (92, 88, 98)),
    "window": ((74, 98, 124),),
    "frame": ((236, 230, 218),),
    "awning": ((196, 60, 54), (50, 120, 84), (230, 178, 70)),
    "door": ((96, 60, 40), (52, 84, 70), (120, 44, 44)),
    "wall": ((158, 148, 138), (142, 132, 120), (176, 156, 130)),
    "fence": ((132, 86, 50), (236, 232, 224), (94, 62, 42)),
    "pole": ((92, 96, 100), (118, 120, 122)),
    "light box": ((36, 38, 40), (48, 46, 40)),
    "red": ((250, 60, 44),),
    "amber": ((254, 186, 40),),
    "green": ((60, 226, 110),),
    "sign red": ((214, 30, 38),),
    "sign blue": ((28, 86, 196),),
    "sign white": ((250, 250, 246),),
    "sign yellow": ((250, 206, 34),),
    "shirt": ((206, 64, 58), (64, 96, 178), (232, 178, 60), (92, 58, 112), (236, 232, 226)),
    "trousers": ((44, 52, 84), (62, 58, 56), (104, 84, 64), (30, 32, 38)),
    "skin": ((240, 196, 160), (206, 152, 112), (140, 94, 66)),
    "hair": ((58, 40, 28), (24, 22, 22), (186, 142, 74)),
    "vest": ((250, 120, 30), (208, 236, 50), (232, 60, 110)),
    "helmet": ((244, 244, 240), (220, 40, 40), (40, 90, 200)),
    "bicycle": ((24, 140, 150), (200, 44, 48), (30, 60, 130)),
    "motorcycle": ((196, 30, 36), (34, 60, 150), (40, 40, 44)),
    "tyre": ((32, 32, 34),),
    "spokes": ((170, 174, 178),),
    "chrome": ((176, 180, 186),),
    "car": (
        (198, 36, 42),
        (38, 82, 172),
        (236, 238, 240),
        (164, 170, 178),
        (44, 46, 54),
        (246, 198, 44),
        (38, 128, 96),
    ),
    "glass": ((60, 84, 104),),
    "lamp": ((255, 246, 200),),
    "tail lamp": ((236, 40, 34),),
    "truck": ((206, 60, 44), (44, 84, 150), (238, 238, 234)),
    "container": ((232, 230, 222), (186, 120, 64), (100, 140, 176)),
    "bus": ((248, 176, 26), (238, 138, 30), (214, 44, 44)),
    "bus trim": ((250, 246, 236),),
    "board": ((30, 30, 30),),
    "train": ((24, 122, 84), (40, 60, 140), (34, 140, 150)),
    "train trim": ((246, 236, 204),),
    "bin": ((52, 92, 74), (220, 190, 40), (120, 124, 128)),
    "dog": ((150, 104, 62), (60, 50, 46)),
    "bonnet": ((48, 50, 56),),
}
"""Kind of a part -> its colours (RGB); the variant of a part picks one."""


@dataclass(frozen=True)
class Light:
    """A part that shines at night.

    Args:
        colour: colour of its light (RGB).
        share: share of these parts that are lit, in [0, 1].
        reach: radius in metres of the pool of light on the ground below it; 0: none.
    """

    colour: Colour
    share: float = 1.0
    reach: float = 0.0


@dataclass(frozen=True)
class Night:
    """The light at night (see :class:`.render.Lights`).

    Args:
        ambient: share of the daylight that is left, for R, G and B.
        lights: lights by the kind of a part, or by ``"<class name> <kind>"`` for the parts of one
            class, which takes precedence.
        glow: factor on the light that lamps throw on their surroundings in the image.
        headlights: brightness of the road in the beam of the recording car; 1 is daylight.
    """

    ambient: tuple[float, float, float]
    lights: Mapping[str, Light]
    glow: float = 1.0
    headlights: float = 0.0


@dataclass(frozen=True)
class Fall:
    """Rain or snow in the air; a stroke is drawn from where it comes from to where it falls.

    Args:
        colour: its colour (RGB).
        density: strokes per 1000 pixels of the image.
        stroke: columns and rows that a stroke covers in the exposure, in heights of the image.
        width: thickness of the nearest strokes, in heights of the image.
        opacity: opacity of the nearest strokes, in [0, 1].
    """

    colour: Colour
    density: float
    stroke: tuple[float, float]
    width: float
    opacity: float


@dataclass(frozen=True)
class Domain:
    """The look of a domain.

    Args:
        palette: colours that replace those of :data:`PALETTE`.
        saturation: 1 keeps the colours, 0 makes them grey.
        texture: factor on the grain of all surfaces.
        shadow: darkness of the shadows on the ground, in [0, 1].
        haze: rate at which things fade with distance, per metre.
        haze_colour: colour that they fade to (RGB).
        cast: factor on R, G, B.
        exposure: factor on all channels.
        exposure_spread: standard deviation of the exposure from image to image.
        gamma: exponent on values in [0, 1]; above 1 darkens the middle tones.
        blur: sigma of the lens blur in pixels.
        noise: sigma of the sensor noise in grey levels.
        vignette: loss of light in the corners, in [0, 1].
        night: light at night; None: day.
        wet: share of the image above the horizon that wet ground mirrors, in [0, 1].
        fall: rain or snow in the air; None: dry.
    """

    palette: Mapping[str, tuple[Colour, ...]] = field(default_factory=dict)
    saturation: float = 1.0
    texture: float = 1.0
    shadow: float = 0.35
    haze: float = 0.004
    haze_colour: Colour = (214, 230, 242)
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    exposure: float = 1.0
    exposure_spread: float = 0.04
    gamma: float = 1.0
    blur: float = 0.0
    noise: float = 1.5
    vignette: float = 0.0
    night: Night | None = None
    wet: float = 0.0
    fall: Fall | None = None

    def colours(self, kind: str) -> tuple[Colour, ...]:
        """Return the colours of ``kind``."""
        return self.palette.get(kind, PALETTE[kind])


GAME = Domain()
"""A source like GTA: a sunny, crisp, colourful video game."""

OVERCAST_PALETTE: Mapping[str, tuple[Colour, ...]] = {
    "road": ((152, 146, 142), (142, 138, 136)),
    "sidewalk": ((196, 184, 172), (186, 176, 168)),
    "slab line": ((164, 154, 146),),
    "kerb": ((214, 210, 204),),
    "terrain": ((128, 138, 82), (142, 134, 94)),
    "vegetation": ((62, 94, 60), (82, 104, 58), (98, 100, 56)),
    "sky": ((176, 194, 216), (222, 228, 236)),
    "cloud": ((206, 214, 226),),
    "building": (
        (170, 158, 144),
        (150, 122, 108),
        (186, 178, 168),
        (132, 136, 146),
        (182, 158, 122),
    ),
    "roof": ((112, 76, 68), (84, 82, 90)),
    "wall": ((136, 134, 134), (150, 140, 128)),
    "fence": ((110, 84, 64), (186, 186, 184), (80, 78, 78)),
    "car": ((148, 40, 44), (52, 74, 128), (218, 222, 226), (138, 144, 152), (48, 50, 58)),
    "bus": ((226, 176, 60), (206, 150, 60), (190, 60, 56)),
}

OVERCAST = Domain(
    palette=OVERCAST_PALETTE,
    saturation=0.85,
    texture=1.5,
    shadow=0.15,
    haze=0.008,
    haze_colour=(196, 206, 220),
    cast=(0.7, 0.85, 1.05),
    exposure=0.85,
    exposure_spread=0.06,
    gamma=1.4,
    blur=0.7,
    noise=4.0,
    vignette=0.3,
)
"""A target like Cityscapes: underexposed images of a real camera on a dull, bluish day."""

CITY_MODEL_PALETTE: Mapping[str, tuple[Colour, ...]] = {
    "road": ((92, 92, 100), (106, 106, 112), (120, 120, 124)),
    "sidewalk": ((206, 152, 128), (192, 148, 132), (176, 168, 160)),
    "slab line": ((150, 108, 92),),
    "kerb": ((236, 232, 220),),
    "terrain": ((112, 158, 40), (132, 168, 36)),
    "vegetation": ((70, 136, 30), (104, 152, 24), (52, 116, 34)),
    "sky": ((58, 122, 216), (188, 214, 246)),
    "building": (
        (196, 90, 58),
        (238, 218, 176),
        (152, 76, 60),
        (224, 176, 92),
        (128, 140, 166),
        (206, 204, 200),
    ),
    "window": ((46, 84, 132),),
    "wall": ((196, 176, 144), (172, 108, 82)),
    "fence": ((58, 60, 64), (150, 96, 50)),
    "pole": ((70, 74, 78), (150, 152, 150)),
    "car": (
        (226, 24, 30),
        (22, 66, 196),
        (250, 250, 250),
        (30, 32, 38),
        (252, 206, 20),
        (190, 196, 204),
    ),
    "bus": ((250, 190, 40), (206, 60, 44), (244, 150, 40)),
}

CITY_MODEL = Domain(
    palette=CITY_MODEL_PALETTE,
    saturation=1.15,
    texture=0.7,
    shadow=0.55,
    haze=0.001,
    cast=(1.03, 1.0, 0.96),
    exposure=0.98,
    exposure_spread=0.1,
    noise=1.0,
)
"""A source like SYNTHIA: a clean, saturated model of a city in glaring light with hard shadows."""

DAYLIGHT = replace(
    OVERCAST, cast=(0.78, 0.88, 1.02), exposure=0.92, gamma=1.25, blur=0.8, noise=5.0, vignette=0.2
)
"""A domain like Dark Zurich by day: the camera of the night, on a brighter day."""

NIGHT = Domain(
    palette=OVERCAST_PALETTE
    | {
        "sky": ((64, 84, 150), (196, 172, 160)),
        "cloud": ((96, 100, 130),),
    },
    saturation=0.85,
    texture=1.2,
    shadow=0.2,
    haze=0.006,
    haze_colour=(90, 92, 104),
    exposure=1.05,
    exposure_spread=0.12,
    blur=0.8,
    noise=7.0,
    vignette=0.3,
    night=Night(
        ambient=(0.26, 0.31, 0.42),
        lights={
            "pole lamp": Light((255, 214, 140), reach=3.5),
            "lamp": Light((255, 246, 216), reach=1.5),
            "tail lamp": Light((230, 34, 24)),
            "window": Light((255, 206, 120), share=0.22),
            "board": Light((255, 170, 40)),
            "bus glass": Light((176, 180, 150)),
            "train glass": Light((186, 188, 162)),
            "red": Light((255, 50, 34)),
            "amber": Light((255, 170, 30)),
            "green": Light((50, 240, 130)),
        },
        glow=1.0,
        headlights=0.45,
    ),
)
"""A domain like Dark Zurich by night: lit by little but street lamps and windows; noisy."""

FOG = Domain(
    palette=OVERCAST_PALETTE
    | {
        "sky": ((198, 202, 206), (202, 206, 210)),
        "cloud": ((200, 204, 208),),
    },
    saturation=0.75,
    texture=0.8,
    shadow=0.05,
    haze=0.05,
    haze_colour=(202, 206, 210),
    exposure=0.95,
    blur=0.8,
    noise=3.0,
    vignette=0.15,
)
"""ACDC in fog: after some 30 metres all is grey, and what is near has little contrast."""

RAIN = Domain(
    palette=OVERCAST_PALETTE
    | {
        "road": ((92, 94, 100), (82, 84, 92)),
        "sidewalk": ((128, 124, 122), (120, 118, 118)),
        "sky": ((142, 150, 162), (176, 182, 190)),
        "cloud": ((150, 156, 166),),
    },
    saturation=0.8,
    texture=0.8,
    shadow=0.0,
    haze=0.016,
    haze_colour=(164, 170, 178),
    cast=(0.88, 0.94, 1.04),
    exposure=0.85,
    blur=1.0,
    noise=4.0,
    vignette=0.2,
    wet=0.45,
    fall=Fall((214, 220, 228), density=5.0, stroke=(0.012, 0.09), width=0.006, opacity=0.55),
)
"""ACDC in rain: a dark sky, streaks of rain, and ground that mirrors what is above."""

SNOW = Domain(
    palette=OVERCAST_PALETTE
    | {
        "road": ((176, 176, 180), (162, 162, 168), (190, 190, 192)),
        "sidewalk": ((232, 234, 240), (224, 228, 236)),
        "slab line": ((216, 220, 228),),
        "kerb": ((206, 208, 216),),
        "terrain": ((240, 242, 246), (232, 236, 242)),
        "vegetation": ((176, 184, 180), (150, 162, 152), (204, 208, 208)),
        "conifer": ((186, 198, 196), (146, 166, 156)),
        "roof": ((240, 242, 246), (230, 234, 240)),
        "sky": ((204, 208, 216), (226, 228, 232)),
        "cloud": ((214, 218, 224),),
    },
    saturation=0.75,
    shadow=0.08,
    haze=0.012,
    haze_colour=(222, 226, 232),
    cast=(0.96, 0.98, 1.03),
    blur=0.7,
    noise=3.0,
    vignette=0.15,
    fall=Fall((250, 250, 252), density=5.0, stroke=(0.004, 0.008), width=0.014, opacity=0.85),
)
"""ACDC in snow: white ground, roofs and trees, and flakes in the air."""
