from mmengine.config import ConfigDict

from mmseg.apis.init_model import without_pretrained


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
