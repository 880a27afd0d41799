"""Test what old configs are translated to, and the messages for those that cannot be."""

from typing import Any

import pytest
from mmengine.config import Config

from mmseg.config_check import check_config
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from mmseg.utils.legacy_config import is_legacy, translate
from tests.golden import DATA
from tests.old_configs import old_config

CONFIGS = DATA / "original_configs"


def changed(exp: int, **values: Any) -> dict:
    """Return an old config with other values, given as ``model__test_cfg=...``."""
    old = old_config(exp)
    for name, value in values.items():
        *parents, key = name.split("__")
        node = old
        for parent in parents:
            node = node[parent]
        node[key] = value
    return old


def with_changes(exp: int, **values: Any) -> dict:
    """Translate the config of :func:`changed`."""
    return translate(changed(exp, **values))[0]


def test_night_models_weight_classes_when_they_are_tested():
    weights = [1.0, 0.95, 1.1] + [1.0] * 16
    ours = with_changes(18, uda__class_weight=weights)["model"]
    assert ours["class_weight"] == weights
    assert ours["segmentor"]["test_cfg"]["class_weight"][:4] == pytest.approx([1, 0.84, 1.32, 1])
    ours = with_changes(7, uda__class_weight=None)["model"]
    assert ours["class_weight"] is None
    assert ours["segmentor"]["test_cfg"] == {"mode": "whole"}
    assert "class_weight" not in translate(old_config(1))[0]["model"]


def test_day_images_are_searched_below_the_data_root():
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


def test_other_settings_of_data_sets_are_translated():
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


def test_other_settings_of_networks_are_translated():
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


def test_what_cannot_be_tested_is_an_error():
    def error(exp: int = 1, **values: Any) -> str:
        with pytest.raises(InputError) as caught:
            with_changes(exp, **values)
        return str(caught.value)

    known = "known are EncoderDecoder, EncoderDecoderProjector and HRDAEncoderDecoder"
    assert error(model__type="HRDA") == f"model.type is 'HRDA'; {known}"
    assert error(model__pretrained=3) == "model.pretrained has an unexpected value: 3"
    assert error(8, uda__class_weight=["a"]) == "uda.class_weight must be numbers: ['a']"
    assert error(8, uda__class_weight=1.0) == "uda.class_weight must be numbers: 1.0"
    assert error(model__decode_head__type="FCNHead").endswith("known are DLV2Head and DAFormerHead")
    assert error(model__backbone__type="VGG").endswith("known are ResNetV1c and mit_b0-5")
    assert error(data__test__pipeline=[]) == (
        "data.test.pipeline must be LoadImageFromFile and MultiScaleFlipAug, not empty"
    )
    assert error(data__val__pipeline=3) == "data.val.pipeline must be a list of dicts"
    old = old_config(1)
    old["data"]["val"]["pipeline"][1]["img_scale"] = "x"
    with pytest.raises(InputError, match=r"val.pipeline.1.img_scale has an unexpected value: 'x'"):
        translate(old)
    old = old_config(1)
    old["data"]["val"]["pipeline"][1]["transforms"][2]["mean"] = [0, 0, 0]
    with pytest.raises(
        InputError, match=r"val.pipeline.1.transforms.2 differs from data.test.* \(mean is"
    ):
        translate(old)


def reasons_of(exp: int = 1, **values: Any) -> list[str]:
    """Return why a changed config cannot be trained, and check that its test is unchanged."""
    before, after = translate(old_config(exp))[0], with_changes(exp, **values)
    assert after["test_dataloader"] == before["test_dataloader"]
    network = after["model"].get("segmentor", after["model"])
    for part in ("decode_head", "test_cfg"):
        assert network[part] == before["model"]["segmentor"][part]
    return translate(changed(exp, **values))[1]


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("uda__prod", False, "uda.prod is False, but there is only True here"),
        (
            "uda__push_off_self_training",
            True,
            "uda.push_off_self_training is True, but there is only False here",
        ),
        (
            "model__backbone__frozen_stages",
            1,
            "model.backbone.frozen_stages is 1, but there is only -1 here",
        ),
        (
            "model__decode_head__sampler",
            {"type": "OHEMPixelSampler", "thresh": 0.7},
            "model.decode_head.sampler is {'type': 'OHEMPixelSampler', 'thresh': 0.7}, but there "
            "is only None here",
        ),
        ("uda__type", "AdvSeg", "uda.type is 'AdvSeg'; known are SePiCo, SePiCoDark and DACS"),
        ("uda__mix", "cut", "uda.mix is 'cut', but there is only 'class' here"),
        ("uda__strange", 1, "nothing is known about uda.strange"),
        ("runner__type", "EpochBasedRunner", "runner.type is 'EpochBasedRunner', but there is"),
        ("optimizer_config", {"type": "Fp16OptimizerHook"}, "optimizer_config is {'type': 'Fp16"),
        ("data__train__type", "SourceDataset", "data.train.type is 'SourceDataset', but there is"),
        ("model__auxiliary_head__strange", 1, "nothing is known about model.auxiliary_head.str"),
    ],
)
def test_what_cannot_be_trained_can_be_tested(setting, value, reason):
    for exp in (4, 7):
        (found,) = reasons_of(exp, **{setting: value})
        assert found.startswith(reason)
    assert reasons_of(1, uda="SePiCo") == ["uda is not a dict"]


def test_an_unknown_loss_or_augmentation_can_be_tested():
    old = old_config(1)
    old["model"]["decode_head"]["loss_decode"] = [{"type": "DiceLoss"}]
    old["model"]["auxiliary_head"]["loss_decode"]["use_avg_pool"] = False
    old["data"]["train"]["source"]["pipeline"].insert(5, {"type": "PhotoMetricDistortion"})
    translated, reasons = translate(old)
    assert reasons == [
        "model.decode_head.loss_decode is not a dict",
        "model.auxiliary_head.loss_decode.use_avg_pool is False, but there is only True here",
    ]
    assert translated["model"]["type"] == "EncoderDecoderProjector"
    del old["model"]["auxiliary_head"]["loss_decode"]["use_avg_pool"]
    old["model"]["auxiliary_head"]["loss_decode"]["use_avg_pool"] = True
    assert translate(old)[1][1].endswith(
        "pipeline.5.type is 'PhotoMetricDistortion', which has no translation"
    )


@pytest.mark.parametrize("exp", [1, 5, 7])
def test_a_plain_segmentor_is_tested_without_projection(exp):
    old = old_config(exp)
    old["model"]["type"] = "EncoderDecoder"
    old["model"]["auxiliary_head"] = {"type": "FCNHead", "in_channels": 1024, "num_classes": 19}
    for uda in (old["uda"], {"type": "DACS", "class_weight": old["uda"].get("class_weight")}, None):
        old["uda"] = uda
        translated, (reason,) = translate(old)
        known = translate(old_config(exp))[0]
        model = known["model"]
        expected = model["segmentor"] | {"data_preprocessor": model["data_preprocessor"]}
        del expected["auxiliary_head"]
        if uda is None:
            expected["test_cfg"] = {"mode": "whole"}
        assert translated["model"]["data_preprocessor"].keys() <= model["data_preprocessor"].keys()
        expected["data_preprocessor"] = translated["model"]["data_preprocessor"]
        assert translated["model"] == expected | {"type": "EncoderDecoder"}
        assert translated["test_dataloader"] == known["test_dataloader"]
        assert ("ProjHead" in reason) == (uda is not None and uda["type"] != "DACS")


def test_data_that_testing_does_not_need_may_be_missing():
    old = old_config(1)
    del old["data"]["train"], old["data"]["val"]
    translated, reasons = translate(old)
    known = translate(old_config(1))[0]
    assert reasons == ["data.val is missing", "data.train is missing"]
    assert translated["test_dataloader"] == known["test_dataloader"]
    assert "val_dataloader" not in translated
    assert translated["model"]["type"] == "SePiCo"


def test_the_balanced_crop_has_the_defaults_of_the_release():
    old = old_config(1)
    for key in ("pseudo_random_crop", "cat_max_ratio", "crop_size", "regen_pseudo"):
        del old["uda"][key]
    translated, reasons = translate(old)
    assert reasons == []
    model = translated["model"]
    assert (model["pseudo_crop"], model["regenerate_pseudo_label"]) == (False, False)
    assert (model["crop_size"], model["cat_max_ratio"]) == ([640, 640], 0.75)
    train = with_changes(1, uda__crop_size=[320, 640])["train_dataloader"]["dataset"]
    assert train["target"]["ignored_edges"] == (15 / 320, 120 / 320)
    (reason,) = reasons_of(1, uda__crop_size=[0, 640])
    assert reason.endswith("size must be a height and a width, not [0, 640]")


def test_activations_are_recomputed_where_the_old_backbone_did():
    for exp in (1, 4):
        model = with_changes(exp, model__backbone__with_cp=True)["model"]
        assert model["segmentor"]["backbone"]["with_cp"] is True
        assert reasons_of(exp, model__backbone__with_cp=True) == []


def test_a_test_with_scales_and_flips_averages_over_them():
    def change(**values: Any) -> tuple[dict, list[str]]:
        old = old_config(1)
        old["data"]["test"]["pipeline"][1] |= values
        return translate(old)

    plain = change()[0]
    translated, reasons = change(img_ratios=[0.5, 1.1], flip=True)
    assert reasons == []
    assert translated["test_dataloader"] == plain["test_dataloader"]
    assert translated["aug_test"] is True
    load, augment = translated["tta_pipeline"]
    scales, flips, *rest = augment["transforms"]
    assert (load["type"], augment["type"]) == ("LoadImageFromFile", "TestTimeAug")
    assert [each["scale"] for each in scales] == [[640, 320], [1408, 704]]
    assert all(each["keep_ratio"] and each["type"] == "Resize" for each in scales)
    assert [(each["prob"], each["direction"]) for each in flips] == [
        (0.0, "horizontal"),
        (1.0, "horizontal"),
    ]
    assert rest == [[{"type": "LoadAnnotations"}], [{"type": "PackSegInputs"}]]

    augment = change(flip=True, flip_direction=["horizontal", "vertical"])[0]["tta_pipeline"][1]
    scales, flips, *_ = augment["transforms"]
    assert [each["scale"] for each in scales] == [[1280, 640]]
    assert [(each["prob"], each["direction"][0]) for each in flips] == [
        (0.0, "h"),
        (0.0, "v"),
        (1.0, "h"),
        (1.0, "v"),
    ]
    translated, _ = change(img_scale=[[1280, 640], [640, 320]])
    assert translated["test_dataloader"] == plain["test_dataloader"]
    scales, flips, *_ = translated["tta_pipeline"][1]["transforms"]
    assert [each["scale"] for each in scales] == [[1280, 640], [640, 320]]
    assert len(flips) == 1
    for values in ({"img_ratios": [1.0]}, {"img_ratios": 1.0, "flip": False}, {"img_ratios": None}):
        assert change(**values) == (plain, [])
    (other,) = {
        tuple(change(**values)[0]["test_dataloader"]["dataset"]["pipeline"][1]["scale"])
        for values in ({"img_ratios": 0.75}, {"img_scale": [[960, 480]]})
    }
    assert other == (960, 480)
    with pytest.raises(InputError, match=r"test.pipeline.1.img_ratios must be positive numbers"):
        change(img_ratios=[0])
    old = old_config(1)
    old["data"]["val"]["pipeline"][1]["flip"] = True
    assert translate(old)[1] == [
        "data.val.pipeline has several scales or flips, but training evaluates images as they are"
    ]
    del old["data"]["val"]["pipeline"][1]["transforms"][1]
    with pytest.raises(InputError, match=r"pipeline.1.flip is True, but there is only False here"):
        translate(old)


def test_both_schemas_are_distinguished():
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


def test_load_config_names_what_it_does_not_translate(tmp_path, formatted):
    old = old_config(2)
    old["uda"]["strange"] = old["mine"] = 1
    Config(old).dump(tmp_path / "old.py")
    cfg = load_config(tmp_path / "old.py")
    assert cfg.model.prototypes.memory_length == 200
    assert cfg.not_for_training == ["nothing is known about mine, uda.strange"]
    check_config(cfg)
    old["model"]["neck"] = {"type": "FPN", "num_outs": 4}
    Config(old).dump(tmp_path / "old.py")
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "old.py")
    assert str(error.value).startswith(
        f"{tmp_path}/old.py, a config of mmseg 0.x: nothing is known about model.neck.num_outs, "
        "model.neck.type: leave it out if it changes nothing, or"
    )
