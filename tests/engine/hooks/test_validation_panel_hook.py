"""Store a few images of a validation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from PIL import Image

from mmseg.engine.hooks import ValidationPanelHook
from mmseg.structures import SegDataSample
from tests.ranks import as_rank

PALETTE = [[255, 0, 0], [0, 0, 255]]


class Images:
    """A validation set of images of 20x1600 pixels."""

    def __init__(self, count, **metainfo):
        self.count, self.metainfo = count, metainfo

    def __len__(self):
        return self.count


def validate(tmp_path, dataset, batch_size=2, images=None, name="a/img.{}.jpg", **options):
    """Call the hook as the loop of a validation does; the left half of each image is class 1."""
    hook = ValidationPanelHook(**options)
    run = SimpleNamespace(
        work_dir=str(tmp_path),
        val_dataloader=SimpleNamespace(dataset=dataset),
        model=SimpleNamespace(data_preprocessor=SimpleNamespace(bgr_to_rgb=True)),
    )
    hook.before_val_epoch(run)
    for first in range(0, images or len(dataset), batch_size):
        inputs, samples = [], []
        for i in range(first, first + batch_size):
            sample = SegDataSample(metainfo={"img_path": name.format(i)})
            classes = torch.zeros(1, 20, 1600, dtype=torch.uint8)
            classes[..., :800] = 1
            sample.pred_sem_seg = PixelData(data=classes)
            sample.gt_sem_seg = PixelData(data=torch.full_like(classes, 255))
            blue = torch.zeros(3, 20, 1600, dtype=torch.uint8)
            blue[0] = 255  # images are loaded as blue, green, red
            inputs.append(blue)
            samples.append(sample)
        hook.after_val_iter(run, first // batch_size, {"inputs": inputs}, samples)


def test_images_spread_over_the_data_are_stored_reduced(tmp_path):
    validate(tmp_path, Images(8, palette=PALETTE), max_images=3)
    for kind in ("image", "label", "prediction"):
        names = sorted(path.stem for path in (tmp_path / "validation" / kind).iterdir())
        assert names == ["img.0", "img.4", "img.7"]
    picture = Image.open(tmp_path / "validation" / "image" / "img.4.jpg")
    assert picture.size == (768, 10)
    red, green, blue = picture.getpixel((400, 5))
    assert blue > 240 and max(red, green) < 15
    prediction = Image.open(tmp_path / "validation" / "prediction" / "img.4.png")
    assert prediction.size == (534, 7)  # every third pixel
    assert np.asarray(prediction)[3, [0, 266, 267, 533]].tolist() == [1, 1, 0, 0]
    assert prediction.convert("RGB").getpixel((0, 0)) == (0, 0, 255)
    label = Image.open(tmp_path / "validation" / "label" / "img.4.png")
    assert set(np.asarray(label).ravel()) == {255}


def test_images_of_one_name_in_several_folders_are_kept(tmp_path):
    for _ in range(2):
        validate(tmp_path, Images(4, palette=PALETTE), name="{}/img.jpg")
    for kind in ("image", "label", "prediction"):
        names = sorted(path.stem for path in (tmp_path / "validation" / kind).iterdir())
        assert names == ["img", "img_1", "img_2", "img_3"]


@pytest.mark.parametrize(("count", "batch_size"), [(1, 1), (3, 3)])
def test_fewer_images_than_it_may_store(tmp_path, count, batch_size):
    validate(tmp_path, Images(count, palette=PALETTE), batch_size, out_dir="shown")
    assert len(list((tmp_path / "shown" / "image").iterdir())) == count


def test_rank_0_stores_images_of_its_own_share(tmp_path):
    for rank in (1, 0):
        with as_rank(rank, 2):
            validate(tmp_path / str(rank), Images(8, palette=PALETTE), images=4, max_images=2)
    names = sorted(path.name for path in (tmp_path / "0" / "validation" / "image").iterdir())
    assert names == ["img.0.jpg", "img.3.jpg"] and not (tmp_path / "1").exists()


def test_without_colours_of_the_classes_nothing_is_stored(tmp_path):
    validate(tmp_path, Images(2))
    assert list(tmp_path.iterdir()) == []
