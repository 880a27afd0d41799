import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg.datasets.image_files import read_image
from mmseg.utils import InputError
from tests.apis.color_world import method_model, prefixed, weights, write_world
from tools.analysis.visualize_features import pdd_table, visualize_features

# The features are r = (2, 1, 1), g = (1, 2, 1) and b = (1, 1, 2), divided by the root of 6. The red
# class has 9 cells of r, 2 of g and 1 of b, so its centroid has the direction (21, 14, 13). The
# green class has 3 cells of g.
NORM = math.sqrt(6 * (21**2 + 14**2 + 13**2))
GREEN = NORM / 62
RED = (9 * (69 / NORM) / (5 / 6) + 2 * (62 / NORM) / 1 + (61 / NORM) / (5 / 6)) / 12


@pytest.fixture
def cfg(tmp_path) -> Config:
    return features_world(tmp_path)


def features_world(tmp_path: Path) -> Config:
    """Write the colour world as source and target, and ``best.pth``; return the config.

    The projection only normalises the colours.
    """
    model = method_model()
    model["segmentor"]["type"] = "EncoderDecoderProjector"
    model["segmentor"]["auxiliary_head"] = {
        "type": "ProjHead",
        "in_channels": 3,
        "channels": 3,
        "num_convs": 0,
    }
    model["data_preprocessor"] = model["data_preprocessor"] | {"mean": [-255.0] * 3}
    cfg = write_world(tmp_path, model, scale=16)
    dataset = cfg.test_dataloader.dataset
    dataset.pipeline[1].scale = (70, 40)  # 70x35, of which 64x32 are used
    flip = {"type": "RandomFlip", "prob": 1.0}
    source = {**dataset, "pipeline": [*dataset.pipeline[:2], flip]}
    cfg.train_dataloader = {"dataset": {"type": "UDADataset", "source": source}}
    cfg.val_dataloader = cfg.test_dataloader
    torch.save(prefixed("model", weights()), tmp_path / "best.pth")
    return cfg


def test_distances_by_hand(cfg, tmp_path):
    cfg.val_dataloader.dataset.pipeline[1].scale = (64, 32)  # not resized
    out = tmp_path / "out"
    every = {"device": "cpu", "pixels_per_image": 10**6}
    result = visualize_features(cfg, tmp_path / "best.pth", out, ("pdd",), **every)
    target = result["pdd"]["target"]
    assert target == {
        "red": pytest.approx(RED, abs=1e-6),
        "green": pytest.approx(GREEN, abs=1e-6),
        "blue": None,
    }
    # Resized, with mixed colours at the borders of cells.
    assert result["pdd"]["source"]["red"] == pytest.approx(RED, rel=0.05)
    assert result["images"] == {"source": 2, "target": 2}
    assert json.loads((out / "pdd.json").read_text()) == result
    assert sorted(path.name for path in out.iterdir()) == ["pdd.json", "pdd.png"]
    rows = [line.split() for line in pdd_table(result).splitlines()]
    assert rows[0] == ["PDD", "source", "target"]
    assert rows[2][2] == f"{RED:.4f}" and rows[4] == ["blue", "-", "-"]
    assert rows[-1][2] == f"{(RED + GREEN) / 2:.4f}"


def test_the_plane(cfg, tmp_path):
    visualize_features(
        cfg, tmp_path / "best.pth", tmp_path, ("tsne",), num_images=1, pixels=8, device="cpu"
    )
    picture = read_image(str(tmp_path / "tsne.png")).astype(int) @ [1, 256, 65536]
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    assert 0xFF0000 in left and 0xFF0000 not in right
    assert 0x1F77B4 in right and 0xFF7F0E in right


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train_dataloader": None}, "no train_dataloader.dataset.source with labels"),
        (
            {"val_dataloader.dataset.data_prefix.seg_map_path": None},
            "no val_dataloader.dataset with labels",
        ),
        (
            {"model.segmentor.type": "EncoderDecoder", "model.segmentor.auxiliary_head": None},
            "EncoderDecoder has no projection head",
        ),
        ({"val_dataloader.dataset.pipeline.1.scale": (20, 10)}, "is less than 32 pixels high"),
    ],
)
def test_unsuitable_configs_are_refused(cfg, tmp_path, change, message):
    cfg.merge_from_dict(change)
    with pytest.raises(InputError, match=message):
        visualize_features(cfg, tmp_path / "best.pth", tmp_path / "out", ("pdd",), device="cpu")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"parts": ("umap",)}, r"--what \['umap'\]: choose from tsne, pdd"),
        ({"num_images": 0}, "--images must be at least 1"),
        ({"pixels": 0}, "--pixels must be at least 1"),
    ],
)
def test_mistakes(cfg, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        visualize_features(cfg, tmp_path / "best.pth", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
