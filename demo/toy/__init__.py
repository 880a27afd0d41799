"""Draw street scenes, with which the whole project runs without a download.

Each of these can change without the others: where things stand (:mod:`.layout`, :mod:`.street`,
:mod:`.objects`, :mod:`.vehicles`), how a domain looks (:mod:`.domains`, :mod:`.render`) and how it
is stored (:mod:`.writers`). :mod:`.sets` makes data sets from them.
"""

from .domains import (
    CITY_MODEL,
    DAYLIGHT,
    FOG,
    GAME,
    NIGHT,
    OVERCAST,
    RAIN,
    SNOW,
    Domain,
    Fall,
    Light,
    Night,
)
from .sets import TOY_SETS, ToySettings, has_toy_data, make_toy_data

__all__ = [
    "CITY_MODEL",
    "DAYLIGHT",
    "FOG",
    "GAME",
    "NIGHT",
    "OVERCAST",
    "RAIN",
    "SNOW",
    "TOY_SETS",
    "Domain",
    "Fall",
    "Light",
    "Night",
    "ToySettings",
    "has_toy_data",
    "make_toy_data",
]
