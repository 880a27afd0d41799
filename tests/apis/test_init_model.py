import pytest
from mmengine.config import Config, ConfigDict

from mmseg.apis.init_model import dataset_meta, without_pretrained
from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, distinct_palette


def test_pretrained_weights_are_left_out_everywhere():
    pretrained = {"type": "Pretrained", "checkpoint": "pretrained/mit_b5.pth"}
    cfg = ConfigDict(
        segmentor={
            "backbone": {"type": "A", "init_cfg": pretrained},
            "heads": [{"type": "B", "init_cfg": {"type": "Normal"}}, {"init_cfg": pretrained}],
        },
        timm={"type": "TIMMBackbone", "pretrained": True, "checkpoint_path": "a.pth"},
        sizes=(1, 2),
    )
    result = without_pretrained(cfg)
    assert result == {
        "segmentor": {
            "backbone": {"type": "A", "init_cfg": None},
            "heads": [{"type": "B", "init_cfg": {"type": "Normal"}}, {"init_cfg": None}],
        },
        "timm": {"type": "TIMMBackbone", "pretrained": False, "checkpoint_path": ""},
        "sizes": (1, 2),
    }
    assert cfg.segmentor.backbone.init_cfg.type == "Pretrained"  # a copy


NAMES = ["a", "b"]
COLOURS = [[1, 2, 3], [4, 5, 6]]
MMENGINE = {"dataset_meta": {"classes": NAMES, "palette": COLOURS}}
MMCV = {"CLASSES": NAMES, "PALETTE": COLOURS}


@pytest.mark.parametrize(
    ("dataset", "meta", "classes", "palette"),
    [
        ({"type": "BaseSegDataset"}, {}, None, None),
        (None, MMENGINE, NAMES, COLOURS),
        (None, MMCV, NAMES, COLOURS),
        ({"type": "BaseSegDataset"}, MMCV, NAMES, COLOURS),
        ({"type": "CityscapesDataset"}, {}, CITYSCAPES_CLASSES, CITYSCAPES_PALETTE),
        # The classes in the checkpoint come first: they are what the model predicts.
        ({"type": "CityscapesDataset"}, MMENGINE, NAMES, COLOURS),
        # Other classes do not get the colours of the data set's classes.
        (
            {"type": "CityscapesDataset", "metainfo": {"classes": NAMES}},
            MMENGINE,
            NAMES,
            distinct_palette(2),
        ),
    ],
)
def test_names_and_colours_of_config_or_checkpoint(dataset, meta, classes, palette):
    cfg = Config({"test_dataloader": {"dataset": dataset}} if dataset else {})
    found = dataset_meta(cfg, {"meta": meta})
    assert found.get("classes") == classes
    assert found.get("palette") == palette
