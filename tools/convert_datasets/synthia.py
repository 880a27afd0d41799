"""Prepare SYNTHIA: ``python tools/convert_datasets/synthia.py data/synthia --nproc 8``."""

import sys
from pathlib import Path

# Run as a file, Python looks for modules beside it instead of in the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmseg.utils.cli import run_main
from tools.convert_datasets import convert

if __name__ == "__main__":
    run_main(lambda: convert("synthia", "SYNTHIA-RAND-CITYSCAPES"))
