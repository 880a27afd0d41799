"""What configs of DAFormer, HRDA and MIC are translated to, and what is said of some of them.

That the main ones equal rows of experiments.py is tested in tests/test_experiments.py.
"""

from typing import Any

import pytest

from mmseg.config_check import check_config
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from mmseg.utils.legacy_config import translate
from tests.old_configs import BASELINE_INDEX, BASELINES, baseline_config

# SegFormer's decoder is not part of this project.
SEGFORMER = {"daformer_exp1_2", "daformer_exp1_3", *(f"daformer_exp5_{i}" for i in range(5))}
# Trained on the source alone, by a pipeline with another augmentation.
SOURCE_ONLY = {"daformer_exp1_0"}


def at(old: dict, name: str) -> tuple[dict, str]:
    """The dict and the key of a setting ``uda__alpha``."""
    *parents, key = name.split("__")
    for parent in parents:
        old = old[parent]
    return old, key


def translated(config: str, *missing: str, **values: Any) -> tuple[dict, list[str]]:
    """The translation of a recorded config with other values, and reasons not to train it."""
    old = baseline_config(config)
    for name, value in values.items():
        node, key = at(old, name)
        node[key] = value
    for name in missing:
        node, key = at(old, name)
        del node[key]
    return translate(old)


def reasons_of(config: str, *missing: str, **values: Any) -> list[str]:
    """Why a recorded config with other values cannot be trained; it is tested as it was."""
    after, reasons = translated(config, *missing, **values)
    before, _ = translated(config)
    network = after["model"].get("segmentor", after["model"])
    for key in ("backbone", "context_scale", "detail_size", "test_cfg"):
        assert network.get(key) == before["model"]["segmentor"].get(key)
    assert after["test_dataloader"] == before["test_dataloader"]
    return reasons


def error_of(config: str, **values: Any) -> str:
    with pytest.raises(InputError) as error:
        translated(config, **values)
    return str(error.value)


def test_all_recorded_configs_but_eight_can_be_trained():
    outcomes = {}
    for file in BASELINE_INDEX:
        name = file.removesuffix(".json")
        try:
            _, reasons = translated(name)
            outcomes[name] = "; ".join(reasons)
        except InputError as error:
            outcomes[name] = str(error)
    assert len(outcomes) == 37
    for name, outcome in outcomes.items():
        if name in SEGFORMER:
            assert outcome == (
                "model.decode_head.type is 'SegFormerHead'; known are DLV2Head and DAFormerHead"
            )
        else:
            assert outcome == ("uda is missing" if name in SOURCE_ONLY else ""), name


@pytest.mark.parametrize("name", ["daformer_exp8_0", "hrda_exp41_1", "mic_exp82_1"])
def test_translated_configs_pass_the_check(name):
    check_config(load_config(BASELINES / f"{name}.json"))


def test_older_names_are_those_of_today():
    old = baseline_config("hrda_exp40_0")
    model = old["model"]
    model["type"] = "MultiResEncoderDecoder"
    model["backbone"]["ema_drop_path_rate"] = 0.1
    head = model["decode_head"]
    head |= {"type": "MultiResAttentionWrapper", "single_scale_head": "UniHead"}
    head["decoder_params"]["fusion_cfg"]["fusion"] = "x"
    assert translate(old) == translated("hrda_exp40_0")
    old = baseline_config("daformer_exp6_0")
    head = old["model"]["decode_head"]
    head["type"] = "UniHead"
    head["decoder_params"]["fusion_cfg"]["fusion"] = "x"
    assert translate(old) == translated("daformer_exp6_0")
    head["type"] = "DAFormerHead"
    with pytest.raises(InputError, match="nothing is known about .*fusion_cfg.fusion: leave it"):
        translate(old)


def test_margins_are_those_of_images_at_full_size():
    """The release makes them of 2048x1024 pixels, and resizes them with the image."""
    target = translated("hrda_exp41_2")[0]["train_dataloader"]["dataset"]["target"]
    resize, crop, flip, margins, pack = target["pipeline"][1:]
    assert (resize["scale"], crop["crop_size"]) == ([1024, 512], [512, 512])
    assert (flip["type"], pack["type"]) == ("RandomFlip", "PackSegInputs")
    shares = (30 / 1024, 240 / 1024, 30 / 2048, 30 / 2048)
    assert margins == {"type": "IgnoreMargins", "margins": shares}
    assert target["ignored_edges"] == (0.0, 0.0)
    name = "data__train__target__crop_pseudo_margins"
    for margins in ([30, 240], [30, 240, 30, "x"]):
        (reason,) = reasons_of("hrda_exp41_2", **{name: margins})
        assert reason.startswith("data.train.target.crop_pseudo_margins must be the rows at the to")
        assert reason.endswith(f"not {margins}")
    assert reasons_of("mic_exp80_2", **{name: [30, 240, 30, 30]}) == [
        "nothing is known about data.train.target.crop_pseudo_margins"
    ]


def test_ignored_rows_are_shares_of_the_crop():
    target = translated("daformer_exp6_0")[0]["train_dataloader"]["dataset"]["target"]
    assert target["ignored_edges"] == (15 / 512, 120 / 512)
    old = baseline_config("daformer_exp6_0")
    del old["data"]["train"]["target"]["pipeline"][3]
    assert translate(old)[1] == [
        "uda ignores [15, 120] rows of the target's crops, whose size must be a height and a "
        "width, not None"
    ]
    old["uda"] |= {"pseudo_weight_ignore_top": 0, "pseudo_weight_ignore_bottom": 0}
    target = translate(old)[0]["train_dataloader"]["dataset"]["target"]
    assert target["ignored_edges"] == (0.0, 0.0)


def test_losses_are_terms_where_they_are_switched_on():
    assert "terms" not in translated("daformer_exp1_1")[0]["model"]
    model = translated("mic_exp80_0", uda__imnet_feature_dist_lambda=0)[0]["model"]
    assert model["terms"].keys() == {"mic"}
    model = translated("mic_exp80_0", uda__mask_mode=None)[0]["model"]
    assert model["terms"].keys() == {"feature_distance"}
    changes = {"classes": None, "scale_min_ratio": None, "scale_method": "ratio"}
    changes = {f"uda__imnet_feature_dist_{name}": value for name, value in changes.items()}
    term = translated("daformer_exp6_0", **changes)[0]["model"]["terms"]["feature_distance"]
    assert term == {"type": "FeatureDistance", "loss_weight": 0.005, "classes": None}


def test_what_training_has_no_counterpart_for_is_named():
    def reason(config: str, **values: Any) -> str:
        (found,) = reasons_of(config, **values)
        return found

    only = "but there is only"
    found = reason("mic_exp80_0", uda__source_only=True)
    assert found == "uda.source_only is True, but there is only False here"
    assert reason("mic_exp80_0", uda__mask_alpha=0.9).startswith(f"uda.mask_alpha is 0.9, {only}")
    assert reason("mic_exp81_1", uda__mask_pseudo_threshold=0.9).endswith(f"{only} 'same' here")
    assert "mask_lambda is 0.5, which the release applies to one of HRDA's two losses" in reason(
        "mic_exp80_0", uda__mask_lambda=0.5
    )
    term = translated("mic_exp81_1", uda__mask_lambda=0.5)[0]["model"]["terms"]["mic"]
    assert term["loss_weight"] == 0.5
    assert reason("mic_exp80_0", model__feature_scale="all").startswith("model.feature_scale is 'a")
    assert reasons_of("mic_exp80_0", "model__crop_coord_divisible") == [
        "model.crop_coord_divisible is missing"
    ]
    weights = {"model__decode_head__lr_loss_weight": 0.1, "data__train__sync_crop_size": [64, 64]}
    assert [each.split(" ")[0] for each in reasons_of("hrda_exp40_0", **weights)] == [
        "model.decode_head.lr_loss_weight",
        "data.train.sync_crop_size",
    ]


def test_a_network_that_is_not_that_of_the_paper_is_an_error():
    name = "hrda_exp41_3"
    for scales in ([0.5], [1, 2], [1, 1], [1, "x"], [0.75, 0.5]):
        assert error_of(name, model__scales=scales) == (
            f"model.scales is {scales}, but there is only 1 with a smaller one here"
        )
    assert translated(name, model__scales=[0.5, 1]) == translated(name)
    for setting in ("hr_slide_inference", "hr_slide_overlapping"):
        assert error_of(name, **{f"model__{setting}": False}).startswith(f"model.{setting} is Fal")
    assert error_of(name, model__blur_hr_crop=True).endswith("True, but there is only False here")
    for setting, value in {"attention_classwise": False, "fixed_attention": 0.5}.items():
        error = error_of(name, **{f"model__decode_head__{setting}": value})
        assert error.startswith(f"model.decode_head.{setting} is {value}, but there is only")
    assert error_of(name, model__decode_head__single_scale_head="SegFormerHead") == (
        "model.decode_head.single_scale_head is 'SegFormerHead'; known are DLV2Head and "
        "DAFormerHead"
    )
    assert error_of(name, model__decode_head__type="DLV2Head").endswith(
        "'DLV2Head', but there is only 'HRDAHead' or 'MultiResAttentionWrapper' here"
    )
    head = translated("hrda_exp40_0", model__decode_head__attention_embed_dim=64)[0]["model"]
    head = head["segmentor"]["decode_head"]
    for part, width in {"head": 256, "scale_attention": 64}.items():
        assert (head[part]["channels"], head[part]["embed_dims"]) == (width, width)


def test_the_folders_of_acdc_become_a_split():
    dataset = translated("hrda_exp49_0", data__val__img_dir="/x/rgb_anon/val/")[0]
    assert dataset["val_dataloader"]["dataset"]["split"] == "val"
    assert dataset["val_dataloader"]["dataset"]["data_prefix"] == {
        "img_path": "/x/rgb_anon",
        "seg_map_path": "gt",
    }
    for folder in ("rgb_anon/train", "images"):
        assert error_of("hrda_exp49_0", data__val__img_dir=folder) == (
            f"data.val has the folders {folder} and gt/val, but those of ACDC must end with one "
            "of train, val and test, the same for images and labels"
        )
