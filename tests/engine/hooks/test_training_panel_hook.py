from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose, RandomFlip, Resize
from PIL import Image
from torch import nn

from mmseg.datasets import PackSegInputs, RandomCrop
from mmseg.engine.hooks import TrainingPanelHook
from mmseg.engine.hooks.training_panel_hook import label_of_crop, training_panel
from mmseg.models.uda import SePiCo
from mmseg.structures import SegDataSample
from mmseg.visualization.panels import GAP
from tests.files import opened_files

PALETTE = [[255, 0, 0], [0, 0, 255]]
META = {"classes": ("red", "blue"), "palette": PALETTE}
MEAN, STD = [0.0, 0.0, 0.0], [255.0, 255.0, 255.0]
GRAY = 0.5


class Preprocessor(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.data_preprocessor = Preprocessor()
        self.PANEL = SePiCo.PANEL
        self.keep_visuals = False
        self.visuals = {}


def visuals(batch=2):
    crop, whole = (batch, 16, 16), (batch, 16, 32)
    image = torch.full((batch, 3, 16, 16), GRAY)
    return {
        "source_image": image,
        "source_label": torch.zeros(crop, dtype=torch.uint8),
        "teacher_prediction": torch.ones(whole, dtype=torch.long),
        "target_image": torch.full((batch, 3, 16, 32), GRAY),
        "target_crop": image,
        "pseudo_label": torch.ones(crop, dtype=torch.long),
        "pixel_weight": torch.full(crop, 0.4),
        "mix_mask": torch.ones((batch, 1, 16, 16), dtype=torch.bool),
        "mixed_image": image,
        "mixed_label": torch.full(crop, 255, dtype=torch.uint8),
        "crop_boxes": torch.tensor([[0, 16, 8, 24]] * batch),
    }


def runner(tmp_path, model, iteration=0, validation=None):
    dataset = SimpleNamespace(metainfo=META)
    result = SimpleNamespace(
        model=model,
        iter=iteration,
        work_dir=str(tmp_path),
        train_dataloader=SimpleNamespace(dataset=dataset),
        val_loop=None,
        calls=[],
    )
    result.call_hook = lambda fn_name, **arguments: result.calls.append((fn_name, arguments))
    if validation is not None:
        result.val_loop = object()
        result.val_dataloader = SimpleNamespace(dataset=validation)
    return result


def target_batch(path="target.png", count=2):
    meta = {"img_path": str(path), "img_shape": (16, 32), "flip": False}
    samples = [SegDataSample(metainfo=meta) for _ in range(count)]
    return {"target": {"data_samples": samples}}


def iterate(hook, run, batch):
    """Call the hook as the training loop does around one iteration."""
    hook.before_train_iter(run, run.iter, batch)
    if run.model.keep_visuals:
        run.model.visuals = visuals()
    hook.after_train_iter(run, run.iter, batch, {})


class Validation:
    """A validation set of one image with a label."""

    def __init__(self, img_path, seg_map_path):
        self.info = {"img_path": str(img_path), "seg_map_path": str(seg_map_path)}

    def __len__(self):
        return 1

    def get_data_info(self, index):
        return self.info


def test_panels_at_the_first_iteration_and_every_interval(tmp_path):
    hook, model = TrainingPanelHook(interval=3, out_dir="pictures", max_images=1), Model()
    for iteration in range(7):
        iterate(hook, runner(tmp_path, model, iteration), target_batch())
        assert model.keep_visuals is False and model.visuals == {}
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["iter_000001_0.png", "iter_000003_0.png", "iter_000006_0.png"]


def test_at_most_one_panel_per_image_of_the_batch(tmp_path):
    run = runner(tmp_path, Model())
    iterate(TrainingPanelHook(interval=1, max_images=5), run, target_batch())
    names = sorted(path.name for path in (tmp_path / "debug").iterdir())
    assert names == ["iter_000001_0.png", "iter_000001_1.png"]
    assert [(name, each["name"]) for name, each in run.calls] == [
        ("after_panel", "panel_0"),
        ("after_panel", "panel_1"),
    ]
    for name, (_, each) in zip(names, run.calls, strict=True):
        assert np.array_equal(each["picture"], np.asarray(Image.open(tmp_path / "debug" / name)))


def test_a_model_without_visuals_is_left_alone(tmp_path):
    run = runner(tmp_path, nn.Linear(1, 1))
    hook = TrainingPanelHook(interval=1)
    hook.before_train_iter(run, 0, {})
    hook.after_train_iter(run, 0, {}, {})
    assert not hasattr(run.model, "keep_visuals") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_validation", [False, True])
def test_ground_truth_only_of_validation_images(tmp_path, in_validation):
    """The label lies next to the target, but is opened only if it is a validation label."""
    image, label = tmp_path / "city" / "one.png", tmp_path / "city" / "one_labelTrainIds.png"
    label.parent.mkdir()
    Image.fromarray(np.zeros((16, 32), np.uint8)).save(label)
    other = tmp_path / "city" / "other.png"
    validation = Validation(image if in_validation else other, label)
    run = runner(tmp_path, Model(), validation=validation)
    path = tmp_path / "city" / ".." / "city" / "one.png"  # the same file, spelt another way
    with opened_files() as opened:
        iterate(TrainingPanelHook(interval=1, max_images=1), run, target_batch(path))
    assert opened.count(str(label)) == int(in_validation)
    shown = {name: value[0] for name, value in visuals().items()}
    truth = np.zeros((16, 16), np.uint8) if in_validation else None
    expected = training_panel(SePiCo.PANEL, shown, truth, PALETTE, MEAN, STD)
    picture = np.asarray(Image.open(tmp_path / "debug" / "iter_000001_0.png"))
    height, width = expected.shape[:2]
    assert (picture[GAP : GAP + height, :width] == expected).all()


def test_the_label_of_a_crop_follows_its_image():
    label = np.arange(32, dtype=np.uint8).reshape(4, 8)
    meta = {"img_shape": (2, 4), "flip": True, "flip_direction": "horizontal"}
    crop = label_of_crop(label, meta, (0, 2, 1, 3))
    # rows 0 and 2, columns 0, 2, 4, 6 backwards: 6 4 2 0; the middle two of these
    assert crop.tolist() == [[4, 2], [20, 18]]


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
@pytest.mark.parametrize("crop", [(30, 40), (80, 90)])  # smaller and larger than the image
def test_the_label_of_a_random_crop_follows_the_pipeline(direction, crop):
    label = np.random.default_rng(0).integers(0, 19, (90, 160), dtype=np.uint8)
    steps = [
        Resize((96, 54), keep_ratio=True),
        RandomCrop(crop, cat_max_ratio=1.0),
        RandomFlip(1.0, direction=direction),
        PackSegInputs(),
    ]
    image = np.zeros((90, 160, 3), np.uint8)
    results = {"img": image, "img_shape": (90, 160), "ori_shape": (90, 160), "img_path": "a.png"}
    results |= {"gt_seg_map": label, "seg_fields": ["gt_seg_map"]}
    sample = Compose(steps)(results)["data_samples"]
    expected = sample.gt_sem_seg.data[0].numpy()
    height, width = expected.shape
    found = label_of_crop(label, sample.metainfo, (0, height, 0, width))
    np.testing.assert_array_equal(found, expected)
    assert expected.shape == (min(crop[0], 54), min(crop[1], 96))


def colors_of(picture):
    return {color for _, color in Image.fromarray(picture).getcolors(2**24)}


def test_panel_shows_the_available_visuals():
    one = {name: value[0] for name, value in visuals().items()}
    green = [[0, 255, 0], [0, 0, 255]]
    truth = np.zeros((16, 16), np.uint8)
    without = training_panel(SePiCo.PANEL, one, None, PALETTE, MEAN, STD)
    assert colors_of(without) >= {(255, 0, 0), (0, 0, 255), (128, 128, 128), (255, 200, 60)}
    del one["source_label"]
    assert (0, 255, 0) not in colors_of(training_panel(SePiCo.PANEL, one, None, green, MEAN, STD))
    assert (0, 255, 0) in colors_of(training_panel(SePiCo.PANEL, one, truth, green, MEAN, STD))
    for name in ("mix_mask", "mixed_image", "mixed_label", "crop_boxes"):
        del one[name]
    assert training_panel(SePiCo.PANEL, one, None, PALETTE, MEAN, STD).shape[0] < without.shape[0]
