"""Runs of `run_experiments.py`: shrunken copies for `--debug`, comparisons of several."""
