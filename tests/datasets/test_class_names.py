"""Test the tables of classes."""

from cityscapesscripts.helpers.labels import labels

from mmseg.datasets import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_PALETTE,
    CLASS_SUBSETS,
    LABEL_ID_TO_TRAIN_ID,
)


def test_class_tables_agree_with_cityscapes():
    counted = [label for label in labels if 0 <= label.trainId < 255]
    assert {label.id: label.trainId for label in counted} == LABEL_ID_TO_TRAIN_ID
    assert tuple(label.name for label in counted) == CITYSCAPES_CLASSES
    assert [list(label.color) for label in counted] == CITYSCAPES_PALETTE


def test_subsets_for_synthia():
    assert [len(subset) for subset in CLASS_SUBSETS.values()] == [16, 13]
    without_16, without_13 = (
        set(CITYSCAPES_CLASSES).difference(CLASS_SUBSETS[f"mIoU{n}"]) for n in (16, 13)
    )
    assert without_16 == {"terrain", "truck", "train"}
    assert without_13 == without_16 | {"wall", "fence", "pole"}
