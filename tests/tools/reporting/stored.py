"""Write work dirs in the form in which training leaves them, and read pages of reports."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmseg.evaluation.functional import iou_and_accuracy
from mmseg.evaluation.report import result_dict

CLASSES = ("road", "sky", "car")
PALETTE = [(128, 64, 128), (70, 130, 180), (0, 0, 142)]
REVISION = "0123456789abcdef0123456789abcdef01234567"
# True class by row. IoU: road 60 of 80, sky 20 of 30, car 0 of 10.
GOOD = [[60, 10, 0], [0, 20, 0], [10, 0, 0]]
# IoU: road 40 of 90, sky 10 of 50, car 0 of 10.
WORSE = [[40, 30, 0], [10, 10, 0], [10, 0, 0]]
SOURCE_ONLY = {"type": "SourceOnly"}
SEPICO = {"type": "SePiCo", "contrast": {"type": "ContrastiveLoss", "variant": "dist"}}


def result_of(confusion: list[list[int]]) -> dict[str, Any]:
    """Return what a validation stores of a confusion matrix."""
    scores = iou_and_accuracy(torch.tensor(confusion))
    return result_dict(scores, CLASSES) | {"confusion": confusion}


def config_of(model: dict[str, Any], seed: int, load_from: str | None) -> dict[str, Any]:
    """Return the settings that a report reads."""
    segmentor = {
        "type": "EncoderDecoder",
        "backbone": {"type": "ResNetV1c", "depth": 18},
        "decode_head": {"type": "DAFormerHead"},
    }
    target = {"type": "CityscapesDataset", "data_root": "data/toy/cityscapes/"}
    source = {"type": "GTADataset", "data_root": "data/toy/gta/"}
    return {
        "model": model | {"segmentor": segmentor},
        "train_dataloader": {"batch_size": 2, "dataset": {"source": source, "target": target}},
        "val_dataloader": {"dataset": target | {"indices": 2}},
        "train_cfg": {"max_iters": 40},
        "randomness": {"seed": seed},
        "load_from": load_from,
        "git_rev": REVISION,
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a log of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def store_run(
    folder: Path,
    model: dict[str, Any] = SEPICO,
    confusion: list[list[int]] = GOOD,
    seed: int = 0,
    load_from: str | None = None,
) -> Path:
    """Write the work dir of a run of 40 iterations, validated at 20 (badly) and 40."""
    folder.mkdir(parents=True)
    config = config_of(model, seed, load_from)
    (folder / f"{folder.name.replace(' ', '_')}.json").write_text(json.dumps(config))
    (folder / "finished").write_text("40")
    start = folder / "20260102_000000"
    rows: list[dict[str, Any]] = [
        {"lr": 0.1, "time": 0.5, "data_time": 0.1, "memory": 2048, "src.decode.loss_seg": 2.0 / i}
        | {"confidence": 0.1 * i, "iter": 10 * i, "step": 10 * i}
        for i in range(1, 5)
    ]
    results = {20: result_of(WORSE), 40: result_of(confusion)}
    rows += [result["summary"] | {"step": step} for step, result in results.items()]
    write_rows(start / "vis_data" / "scalars.json", rows)
    validations = [{"step": step, "results": {"student": r}} for step, r in results.items()]
    write_rows(start / "vis_data" / "validation.json", validations)
    phases = [{"iter": i, "step": i, "whole": 0.4, "teacher": 0.1, "src": 0.25} for i in (10, 20)]
    write_rows(start / "vis_data" / "phases.json", phases)
    environment = {"device": "cpu", "hardware": "Some CPU", "processes": 1, "packages": {}}
    (start / "environment.json").write_text(json.dumps(environment | {"python": "3.12.1"}))
    store_pictures(folder)
    return folder


def store_pictures(folder: Path) -> None:
    """Write a validation image of 80x40 pixels with two maps, and a panel of training."""
    for kind, values in (("label", [[0, 1]]), ("prediction", [[0, 2]])):
        path = folder / "validation" / kind / "street.png"
        path.parent.mkdir(parents=True)
        classes = Image.fromarray(np.repeat(np.array(values, np.uint8), 40, axis=1).repeat(40, 0))
        classes.putpalette([value for color in PALETTE for value in color])
        classes.save(path)
    (folder / "validation" / "image").mkdir()
    Image.new("RGB", (80, 40), (90, 90, 90)).save(folder / "validation" / "image" / "street.jpg")
    (folder / "debug").mkdir()
    for iteration in (1, 10, 20, 30, 40):
        Image.new("RGB", (1300, 600)).save(folder / "debug" / f"iter_{iteration:06d}_0.png")


class _Tables(HTMLParser):
    """Collect the rows of all tables of a page by the id of the table."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.rows = self.tables.setdefault(dict(attrs).get("id") or "", [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def table(page: Path, name: str) -> list[list[str]]:
    """Return the cells of a table of a page."""
    reader = _Tables()
    reader.feed(page.read_text(encoding="utf-8"))
    return [[" ".join(cell.split()) for cell in row] for row in reader.tables[name]]


def data(page: Path, name: str) -> Any:
    """Return the JSON that a page holds for its script."""
    pattern = rf'id="{name}">(.*?)</script>'
    return json.loads(re.search(pattern, page.read_text(encoding="utf-8"), re.S)[1])
