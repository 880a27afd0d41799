"""Types with ranges, for the signatures of classes that a config names.

:func:`~mmseg.config_check.check.check_config` checks the values of a config against them.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

Fraction = Annotated[float, Field(ge=0, le=1)]
Size2d = Annotated[
    tuple[PositiveInt, PositiveInt], Field(description="two integers > 0 (height, width)")
]
#: Value of a pixel in an 8-bit label map.
LabelValue = Annotated[int, Field(ge=0, le=255)]
PositiveInts = Annotated[Sequence[PositiveInt], Field(min_length=1)]
Indices = Annotated[Sequence[NonNegativeInt], Field(min_length=1)]
ClassFactors = Annotated[Sequence[NonNegativeFloat], Field(min_length=1)]
#: Channels of the map that a head reads, or of each map; and the indices of these maps.
Channels = PositiveInt | PositiveInts
MapIndices = Annotated[Sequence[int], Field(min_length=1)]
MapIndex = int | MapIndices


def _with_type(config: dict) -> dict:
    if "type" not in config:
        raise ValueError("no type")
    return config


#: Config of an object that a registry builds.
PartConfig = Annotated[dict, AfterValidator(_with_type), Field(description="dict(type=...)")]
InitConfig = PartConfig | list[PartConfig]
