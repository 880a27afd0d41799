"""Segment a few toy images with the model of the demo: ``python demo/segment_toy_images.py``.

`make demo` trains that model; `python run_experiments.py --exp 0 --debug` trains a poor one in a
minute. The newest run is used unless you name CONFIG CHECKPOINT.
"""

import argparse
import sys
from pathlib import Path

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from tools.common.parser import Parser

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "work_dirs" / "local-exp0"
IMAGES = ROOT / "data" / "toy" / "cityscapes" / "leftImg8bit" / "val"
DEFAULT_OUT = "work_dirs/segmented_toy_images.png"
SHOWN_IMAGES = 4


def main(argv: list[str] | None = None) -> None:
    """Load a model, predict, and draw the predictions."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?")
    parser.add_argument("checkpoint", nargs="?")
    add = parser.add_argument
    add("--out", default=DEFAULT_OUT, help="picture to write (%(default)s)")
    add("--images", type=Path, default=IMAGES, metavar="DIR", help="images (toy data)")
    add("--runs", type=Path, default=RUNS, metavar="DIR", help="runs of the demo (local-exp0)")
    args = parser.parse_args(argv)
    if args.config and not args.checkpoint:
        parser.error("give CONFIG and CHECKPOINT, or neither")

    from mmseg.apis import inference_model, init_model
    from mmseg.datasets.image_files import read_image
    from mmseg.visualization import colorize, heatmap, legend, overlay, panel, save_image, stack

    config, checkpoint = (args.config, args.checkpoint) if args.config else newest_run(args.runs)
    every = sorted(args.images.rglob("*.png"))
    paths = every[:: max(1, len(every) // SHOWN_IMAGES)][:SHOWN_IMAGES]
    if not paths:
        raise InputError(f"no images in {args.images}: run `python tools/make_toy_data.py`")

    model = init_model(config, checkpoint)
    samples = inference_model(model, paths, confidence=True)

    classes, palette = model.dataset_meta["classes"], model.dataset_meta["palette"]
    rows = []
    for path, sample in zip(paths, samples, strict=True):
        image = read_image(path)[..., ::-1]  # BGR to RGB
        label = sample.pred_sem_seg.data[0].cpu().numpy()  # (h, w), class indices
        confidence = sample.seg_confidence.data[0].cpu().numpy()  # (h, w), 0 to 1
        rows.append(
            [
                ("image", image),
                ("prediction", colorize(label, palette)),
                ("laid over the image", overlay(image, label, palette, opacity=0.5)),
                ("confidence (yellow: sure)", heatmap(confidence)),
            ]
        )
    titled = [rows[0]] + [[("", picture) for _, picture in row] for row in rows[1:]]
    grid = panel(titled)
    save_image(args.out, stack([grid, legend(classes, palette, grid.shape[1])]))
    print(f"model: {checkpoint}\nwrote {args.out}")


def newest_run(folder: Path) -> tuple[Path, Path]:
    """Return config and checkpoint of the demo's latest SePiCo run."""
    from mmseg.apis.train import latest_checkpoint

    runs = {path.parent for path in folder.glob("*_sepico_*/iter_*.pth")}
    if not runs:
        raise InputError(
            f"the demo has left no checkpoint in {folder}: run `make demo`, or, for a poor model "
            "in a minute, `python run_experiments.py --exp 0 --debug`"
        )
    checkpoint = max(map(latest_checkpoint, runs), key=lambda path: path.stat().st_mtime)
    return checkpoint.parent / f"{checkpoint.parent.name}.json", checkpoint


if __name__ == "__main__":
    run_main(main)
