"""Measurements of speed and memory, for ``python -m tools.benchmark``."""
