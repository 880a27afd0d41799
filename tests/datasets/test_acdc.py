"""Test ACDC: four conditions and three splits."""

import numpy as np
import pytest

from mmseg.datasets import ACDCDataset
from mmseg.utils import InputError
from tests.datasets.small_data import write_image, write_label

CONDITIONS = ("fog", "night", "rain", "snow")
PIPELINE = [
    {"type": "LoadImageFromFile"},
    {"type": "LoadAnnotations"},
    {"type": "PackSegInputs"},
]


@pytest.fixture
def acdc(tmp_path):
    """Write one image per condition and split, and a good-weather counterpart for val."""
    rng = np.random.default_rng(0)
    for i, condition in enumerate(CONDITIONS):
        for split in ("train", "val", "val_ref", "test"):
            name = f"{condition}/{split}/GOPR047{i}/GOPR047{i}_frame_000041"
            write_image(tmp_path / f"rgb_anon/{name}_rgb_anon.png", (9, 16), rng)
            if split in ("train", "val"):
                write_label(tmp_path / f"gt/{name}_gt_labelTrainIds.png", np.full((9, 16), i))
                write_label(tmp_path / f"gt/{name}_gt_labelIds.png", np.full((9, 16), 7))
    return tmp_path


def test_validation_images_know_their_condition(acdc):
    dataset = ACDCDataset(f"{acdc}/", pipeline=PIPELINE, test_mode=True)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info["condition"] for info in infos] == list(CONDITIONS)
    name = "night/val/GOPR0471/GOPR0471_frame_000041"
    assert infos[1]["img_path"] == f"{acdc}/rgb_anon/{name}_rgb_anon.png"
    assert infos[1]["seg_map_path"] == f"{acdc}/gt/{name}_gt_labelTrainIds.png"
    samples = [dataset[i]["data_samples"] for i in range(4)]
    assert [sample.condition for sample in samples] == list(CONDITIONS)
    assert [sample.gt_sem_seg.data.unique().tolist() for sample in samples] == [[0], [1], [2], [3]]


def test_test_split_has_no_labels_and_needs_none(acdc):
    dataset = ACDCDataset(str(acdc), split="test", pipeline=[PIPELINE[0], PIPELINE[2]])
    assert "gt_sem_seg" not in dataset[3]["data_samples"]
    assert dataset[3]["data_samples"].condition == "snow"


def test_a_list_selects_images(acdc):
    (acdc / "some.txt").write_text("night/val/GOPR0471/GOPR0471_frame_000041\n")
    dataset = ACDCDataset(str(acdc), ann_file="some.txt")
    assert [dataset.get_data_info(i)["condition"] for i in range(len(dataset))] == ["night"]


def test_a_target_with_some_conditions_reads_no_labels(acdc):
    dataset = ACDCDataset(
        str(acdc), "train", conditions=["snow", "fog"], data_prefix={"img_path": "rgb_anon/"}
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info["condition"] for info in infos] == ["fog", "snow"]
    assert all("seg_map_path" not in info for info in infos)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "ACDC has no split 'valid': choose one of train, val, test"),
        ({"conditions": ["fog", "hail"]}, r"some of fog, night, rain, snow, not \['fog', 'hail'\]"),
        ({"conditions": "fog"}, "conditions must be a list"),
        ({"conditions": []}, "conditions must be a list"),
        ({"data_prefix": {"img_path": "rgb"}}, r"folder .*rgb/fog/val does not exist"),
    ],
)
def test_bad_arguments_are_refused(acdc, arguments, message):
    with pytest.raises(InputError, match=message):
        ACDCDataset(str(acdc), **arguments)
