"""Drawn street scenes that try out everything without a download.

Kept apart, so that each can change alone: where things stand (:mod:`.layout`, :mod:`.street`,
:mod:`.objects`, :mod:`.vehicles`), how a domain looks (:mod:`.domains`, :mod:`.render`) and how it
is stored (:mod:`.writers`). :mod:`.generate` puts them together.
"""

from .domains import GAME, OVERCAST, Domain
from .generate import ToySettings, draw_source, draw_target, has_toy_data, make_toy_data

__all__ = [
    "GAME",
    "OVERCAST",
    "Domain",
    "ToySettings",
    "draw_source",
    "draw_target",
    "has_toy_data",
    "make_toy_data",
]
