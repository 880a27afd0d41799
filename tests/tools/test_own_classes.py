"""Train and evaluate on a user's own data with four classes, from image folders to scores."""

import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg.apis import Outputs, evaluate
from mmseg.apis.train import train
from mmseg.utils import InputError
from mmseg.utils.checkpoint import load_checkpoint
from tests.datasets.small_data import write_label
from tests.training import small_config
from tools.class_stats import main as class_stats

COLOURS = {
    "soil": (120, 80, 40),
    "crop": (30, 200, 40),
    "weed": (10, 90, 60),
    "sky": (90, 150, 240),
}
DATASETS = {
    "source": {"img_path": "images/drawn", "seg_map_path": "labels/drawn"},
    "target": {"img_path": "images/field"},
    "val": {"img_path": "images/checked", "seg_map_path": "labels/checked"},
}


def write_fields(root) -> None:
    """Write six source, four target and two validation images; the target has no labels.

    Blocks of soil and crop lie below a sky, with few weeds. The label maps of 64 x 128 pixels hold
    0-3, and 255 in the first column.
    """
    rng = np.random.default_rng(0)
    colours = np.array([*COLOURS.values()], np.uint8)
    for kind, suffix, count in (("drawn", "jpg", 6), ("field", "png", 4), ("checked", "bmp", 2)):
        for i in range(count):
            blocks = rng.choice(3, (8, 16), p=(0.5, 0.45, 0.05))
            blocks[:3] = 3
            label = np.kron(blocks, np.ones((8, 8), np.uint8)).astype(np.uint8)
            noise = rng.integers(0, 20, (64, 128, 3), dtype=np.uint8)
            path = root / f"images/{kind}/{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(colours[label] // 2 + noise).save(path)
            label[:, 0] = 255
            if kind != "field":
                write_label(root / f"labels/{kind}/{i}.png", label)
    content = {"classes": list(COLOURS), "palette": [list(c) for c in COLOURS.values()]}
    (root / "classes.json").write_text(json.dumps(content))


@pytest.fixture
def config(tmp_path) -> Config:
    """Return a small SePiCo config: two iterations on the fields, the second with contrast."""
    root = tmp_path / "fields"
    write_fields(root)
    cfg = small_config(tmp_path / "no toy data", tmp_path)
    pair = cfg.train_dataloader.dataset
    for name, dataset in (
        ("source", pair.source),
        ("target", pair.target),
        ("val", cfg.val_dataloader.dataset),
    ):
        dataset.update(type="FolderDataset", data_root=str(root), data_prefix=DATASETS[name])
    cfg.test_dataloader = cfg.val_dataloader
    cfg.model.segmentor.decode_head.num_classes = cfg.model.prototypes.num_classes = 4
    cfg.model.start_contrast_iter = 1
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    cfg.dump(tmp_path / "config.json")
    return cfg


def test_statistics_training_and_evaluation(config, tmp_path, capsys):
    failing = config.copy()
    failing.experiment_name = "failing"  # runs of one name and second would share a visualizer
    with pytest.raises(InputError, match=r"run `python -m tools\.class_stats --config CONFIG`"):
        train(failing, device="cpu")

    options = ["--class-weights", "0.05", "--nproc", "1"]
    class_stats(["--config", str(tmp_path / "config.json"), *options])
    printed = capsys.readouterr().out
    counts = np.zeros(4, int)
    for path in (tmp_path / "fields/labels/drawn").iterdir():
        counts += np.bincount(np.asarray(Image.open(path)).ravel(), minlength=256)[:4]
    shares = re.findall(r"^ *(\w+) +(\d)  ([\d.]+)$", printed, re.M)
    assert [(name, int(label)) for name, label, _ in shares] == [
        (name, i) for i, name in enumerate(COLOURS)
    ]
    np.testing.assert_allclose(
        [float(share) for *_, share in shares], 100 * counts / counts.sum(), atol=1e-4
    )
    weights = json.loads(re.search(r"class_weight=(\[.*\])", printed).group(1))
    assert np.argmax(weights) == 2
    assert np.mean(weights) == pytest.approx(1)

    train(config, device="cpu")
    state = load_checkpoint(tmp_path / "run/iter_2.pth")["state_dict"]
    assert state["model.decode_head.conv_seg.weight"].shape[0] == 4
    amounts = next(value for key, value in state.items() if key.endswith("amount"))
    assert amounts.shape[0] == 4
    assert torch.all(amounts.flatten()[[0, 1, 3]] > 0)

    outputs = Outputs(metrics=("mIoU",), show_dir=tmp_path / "shown")
    result = evaluate(config, tmp_path / "run/iter_2.pth", outputs, device="cpu")
    assert list(result["per_class"]) == list(COLOURS)
    assert 0 < result["summary"]["mIoU"] < 100
    assert sorted(p.name for p in (tmp_path / "shown").iterdir()) == ["0.png", "1.png"]

    # Fine-tune for other classes: those of the same name keep their weights.
    classes = ["Crop", "soil", "rock", "sky"]
    pair = config.train_dataloader.dataset
    for dataset in (pair.source, pair.target, config.val_dataloader.dataset):
        dataset.metainfo = {"classes": classes}
    config.load_from, config.work_dir = str(tmp_path / "run/iter_2.pth"), str(tmp_path / "other")
    config.train_cfg.update(max_iters=1, val_interval=1)
    config.default_hooks.checkpoint.interval = 1
    config.optim_wrapper.optimizer.lr = 0.0
    train(config, device="cpu")
    key = "model.decode_head.conv_seg.weight"
    found = load_checkpoint(tmp_path / "other/iter_1.pth")["state_dict"][key]
    assert torch.equal(found[[0, 1, 3]], state[key][[1, 0, 3]])
    assert not torch.equal(found[2], state[key][2])
    (log,) = (tmp_path / "other").glob("*/*.log")
    assert "so trained from scratch: the classifier of 'rock'" in log.read_text()


@pytest.mark.parametrize(
    ("decode_head", "prototypes", "message"),
    [
        (3, 4, "the EncoderDecoderProjector of the model has 3 classes, the data set 4 (soil, "),
        (19, 19, "the EncoderDecoderProjector of the model has 19 classes"),
        (4, 19, "the ProtoEstimator of the model has 19 classes, the data set 4"),
    ],
)
def test_a_model_of_other_classes_is_refused(config, decode_head, prototypes, message):
    config.train_dataloader.dataset.rare_class_sampling = None
    config.model.segmentor.decode_head.num_classes = decode_head
    config.model.prototypes.num_classes = prototypes
    with pytest.raises(InputError, match=re.escape(message)):
        train(config, device="cpu")
