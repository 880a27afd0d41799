"""Benchmarks of speed and memory, run by ``python -m tools.benchmark`` and ``make bench``."""
