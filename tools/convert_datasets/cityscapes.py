"""Prepare Cityscapes: ``python tools/convert_datasets/cityscapes.py data/cityscapes --nproc 8``."""

import sys
from pathlib import Path

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmseg.utils.cli import run_main
from tools.convert_datasets import convert

if __name__ == "__main__":
    run_main(lambda: convert("cityscapes", "Cityscapes"))
