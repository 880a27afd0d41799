import os

import pytest
from mmengine.registry import init_default_scope

from mmseg.apis.test_data import test_loader as make_loader
from mmseg.apis.test_data import tta_pipeline
from mmseg.utils import InputError

LOAD, PACK = {"type": "LoadImageFromFile"}, {"type": "PackSegInputs"}


def branches(pipeline):
    assert [transform["type"] for transform in pipeline] == ["LoadImageFromFile", "TestTimeAug"]
    return pipeline[1]["transforms"]


def test_scales_are_those_of_the_resize():
    resize = {"type": "Resize", "scale": (1280, 640), "keep_ratio": True}
    scales, flips, rest = branches(tta_pipeline([LOAD, resize, PACK]))
    assert [each["scale"] for each in scales] == [
        (640, 320),
        (960, 480),
        (1280, 640),
        (1600, 800),
        (1920, 960),
        (2240, 1120),
    ]
    assert all(each["keep_ratio"] for each in scales)
    assert [each["prob"] for each in flips] == [0.0, 1.0]
    assert rest == [PACK]
    assert resize["scale"] == (1280, 640)


def test_without_a_resize_scales_are_those_of_the_image():
    scales, _, rest = branches(tta_pipeline([LOAD, PACK]))
    assert [each["scale_factor"] for each in scales] == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    assert rest == [PACK]


def test_an_unusual_pipeline_needs_a_tta_pipeline():
    with pytest.raises(InputError, match="tta_pipeline"):
        tta_pipeline([LOAD])


def test_no_more_workers_than_cores(toy_config, monkeypatch):
    init_default_scope("mmseg")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2), raising=False)
    for wanted, workers in ((0, 0), (1, 1), (2, 2), (5, 2)):
        toy_config.test_dataloader.num_workers = wanted
        assert make_loader(toy_config, labelled=True).num_workers == workers
    assert toy_config.test_dataloader.num_workers == 5
