"""What old configs are translated to, and what is said of those that cannot be."""

from typing import Any

import pytest
from mmengine.config import Config

from mmseg.utils import InputError
from mmseg.utils.config import load_config
from mmseg.utils.config_check import check_config
from mmseg.utils.legacy_config import is_legacy, translate
from tests.golden import DATA
from tests.old_configs import old_config

CONFIGS = DATA / "original_configs"


def with_changes(exp: int, **values: Any) -> dict:
    """Our config of an old one with other values, ``model__test_cfg=...`` and so on."""
    old = old_config(exp)
    for name, value in values.items():
        *parents, key = name.split("__")
        node = old
        for parent in parents:
            node = node[parent]
        node[key] = value
    return translate(old)[0]


def test_night_models_weight_classes_when_they_are_tested():
    weights = [1.0, 0.95, 1.1] + [1.0] * 16
    ours = with_changes(18, uda__class_weight=weights)["model"]
    assert ours["class_weight"] == weights
    assert ours["segmentor"]["test_cfg"]["class_weight"][:4] == pytest.approx([1, 0.84, 1.32, 1])
    ours = with_changes(7, uda__class_weight=None)["model"]
    assert ours["class_weight"] is None
    assert ours["segmentor"]["test_cfg"] == {"mode": "whole"}
    assert "class_weight" not in translate(old_config(1))[0]["model"]


def test_day_images_are_looked_for_below_the_data_root():
    old = old_config(7)
    old["data"]["train"]["target"]["data_root"] = "/data/night"
    target = translate(old)[0]["train_dataloader"]["dataset"]["target"]
    assert target["corresp"].startswith("/")
    assert target["corresp"].endswith("/data/dark_zurich/corresp/train/night")
    old["uda"]["corresp_root"] = "/data/night/corresp/train/night"
    target = translate(old)[0]["train_dataloader"]["dataset"]["target"]
    assert target["corresp"] == "corresp/train/night"
    old["data"]["train"]["target"]["data_root"] = None
    target = translate(old)[0]["train_dataloader"]["dataset"]["target"]
    assert (target["data_root"], target["corresp"]) == ("", "/data/night/corresp/train/night")


def test_synthia_is_measured_on_16_and_13_classes():
    ours = translate(old_config(12))[0]
    for evaluator in (ours["val_evaluator"], ours["test_evaluator"]):
        assert evaluator["iou_metrics"] == ["mIoU", "mIoU16", "mIoU13"]
    assert ours["default_hooks"]["checkpoint"]["save_best"] == "mIoU16"


def test_test_sets_without_labels_read_none():
    old = old_config(1)
    del old["data"]["test"]["ann_dir"]
    ours = translate(old)[0]
    dataset = ours["test_dataloader"]["dataset"]
    assert dataset["data_prefix"] == {"img_path": "leftImg8bit/val"}
    steps = [step["type"] for step in dataset["pipeline"]]
    assert steps == ["LoadImageFromFile", "Resize", "PackSegInputs"]
    assert ours["val_dataloader"] == translate(old_config(1))[0]["val_dataloader"]


def test_other_ways_to_write_a_data_set():
    old = old_config(1)
    changes = {"img_dir": "/x/images", "split": "list.txt", "img_suffix": ".jpg"}
    old["data"]["test"] |= changes | {"data_root": None}
    dataset = translate(old)[0]["test_dataloader"]["dataset"]
    assert dataset["data_root"] == ""
    assert dataset["data_prefix"]["img_path"] == "/x/images"
    assert (dataset["ann_file"], dataset["img_suffix"]) == ("list.txt", ".jpg")
    assert (
        with_changes(1, data__workers_per_gpu=0)["train_dataloader"]["persistent_workers"] is False
    )
    train = with_changes(1, data__train__rare_class_sampling=None)["train_dataloader"]["dataset"]
    assert train["rare_class_sampling"] is None


def test_other_networks():
    slide = {"mode": "slide", "crop_size": [512, 512], "stride": [256, 256]}
    segmentor = with_changes(1, model__test_cfg=slide)["model"]["segmentor"]
    assert segmentor["test_cfg"] == slide
    segmentor = with_changes(4, model__pretrained="open-mmlab://mit_b3")["model"]["segmentor"]
    assert segmentor["backbone"]["init_cfg"]["checkpoint"] == "pretrained/mit_b3.pth"
    segmentor = with_changes(4, model__pretrained=None)["model"]["segmentor"]
    assert segmentor["backbone"] == {"type": "mit_b5"}
    levels = with_changes(4, model__auxiliary_head__input_transform="multiple_select")["model"]
    assert levels["num_levels"] == 4
    assert "num_levels" not in translate(old_config(4))[0]["model"]


def test_what_cannot_be_translated_is_said():
    def error(exp: int = 1, **values: Any) -> str:
        with pytest.raises(InputError) as caught:
            with_changes(exp, **values)
        return str(caught.value)

    assert error(uda="SePiCo") == "uda is no dict"
    assert error(uda__type="DACS") == "uda.type is 'DACS'; known are SePiCo and SePiCoDark"
    assert error(uda__mix="cut") == "uda.mix is 'cut', but there is only 'class' here"
    assert error(model__pretrained=3) == "model.pretrained has an unexpected value: 3"
    assert error(8, uda__class_weight=["a"]) == "uda.class_weight must be numbers: ['a']"
    assert error(model__decode_head__type="FCNHead").endswith("known are DLV2Head and DAFormerHead")
    assert error(model__backbone__type="VGG").endswith("known are ResNetV1c and mit_b0-5")
    assert error(data__test__pipeline=[]) == (
        "data.test.pipeline must be LoadImageFromFile and MultiScaleFlipAug, not empty"
    )
    assert error(data__val__pipeline=3) == "data.val.pipeline must be a list of dicts"
    old = old_config(1)
    old["data"]["val"]["pipeline"][1]["img_scale"] = [[1280, 640], [640, 320]]
    with pytest.raises(InputError, match=r"val.pipeline.1.img_scale must be one width and height"):
        translate(old)
    old = old_config(1)
    old["data"]["train"]["source"]["pipeline"].insert(5, {"type": "PhotoMetricDistortion"})
    with pytest.raises(InputError, match="pipeline.5.type is 'PhotoMetricDistortion', which has"):
        translate(old)
    old = old_config(1)
    old["data"]["val"]["pipeline"][1]["transforms"][2]["mean"] = [0, 0, 0]
    with pytest.raises(InputError, match=r"val.pipeline.1.transforms.2 differs .* \(mean is"):
        translate(old)


def test_both_schemata_are_told_apart():
    assert all(is_legacy(old_config(exp)) for exp in range(1, 19))
    assert not is_legacy(translate(old_config(1))[0])
    assert not is_legacy({"model": {}, "data": 3})
    assert not is_legacy({"model": {}, "data": {"train": {}}, "test_dataloader": {}})


@pytest.mark.parametrize("exp", [1, 4, 7, 8])
def test_load_config_translates(exp, capsys):
    cfg = load_config(CONFIGS / f"exp{exp}.json", {"model.alpha": 0.5, "test_dataloader.x": 1})
    assert cfg.model.alpha == 0.5
    assert cfg.test_dataloader.pop("x") == 1
    assert cfg.model.data_preprocessor.size == (640, 640)
    assert cfg.filename == str(CONFIGS / f"exp{exp}.json")
    check_config(cfg)
    assert capsys.readouterr().err == ""


def test_load_config_names_what_it_does_not_translate(tmp_path, capsys):
    old = old_config(2)
    old["uda"]["strange"] = old["mine"] = 1
    Config(old).dump(tmp_path / "old.py")
    cfg = load_config(tmp_path / "old.py")
    assert cfg.model.prototypes.memory_length == 200
    assert capsys.readouterr().err == (
        f"{tmp_path}/old.py: not translated, for training only: mine, uda.strange\n"
    )
    old["model"]["neck"] = {"type": "FPN", "num_outs": 4}
    Config(old).dump(tmp_path / "old.py")
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "old.py")
    assert str(error.value).startswith(
        f"{tmp_path}/old.py, a config of mmseg 0.x: nothing is known about model.neck.num_outs, "
        "model.neck.type: leave it out if it changes nothing, or"
    )
