import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.evaluation import PredictionWriter
from mmseg.utils import InputError


def test_writes_the_values_under_the_name_of_the_image(tmp_path):
    pred = torch.tensor([[0, 18], [255, 3]])
    path = PredictionWriter(tmp_path / "a" / "b").write(pred, "x/y/frame_01_rgb_anon.jpg")
    assert path == tmp_path / "a" / "b" / "frame_01_rgb_anon.png"
    with Image.open(path) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), pred.numpy())
    assert list(path.parent.iterdir()) == [path]


def test_a_class_above_255_is_an_error(tmp_path):
    with pytest.raises(InputError, match="class 256 does not fit"):
        PredictionWriter(tmp_path).write(torch.tensor([[256]]), "one.png")
