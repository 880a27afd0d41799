"""Draw street scenes, with which the whole project runs without a download.

Each of these can change without the others: where things stand (:mod:`.layout`, :mod:`.street`,
:mod:`.objects`, :mod:`.vehicles`), how a domain looks (:mod:`.domains`, :mod:`.render`) and how it
is stored (:mod:`.writers`). :mod:`.sets` makes data sets from them.
"""

from .domains import CITY_MODEL, DAYLIGHT, GAME, NIGHT, OVERCAST, Domain, Light, Night
from .sets import TOY_SETS, ToySettings, has_toy_data, make_toy_data

__all__ = [
    "CITY_MODEL",
    "DAYLIGHT",
    "GAME",
    "NIGHT",
    "OVERCAST",
    "TOY_SETS",
    "Domain",
    "Light",
    "Night",
    "ToySettings",
    "has_toy_data",
    "make_toy_data",
]
