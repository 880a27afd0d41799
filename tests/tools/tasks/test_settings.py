"""Fit settings to sizes of images and numbers of pixels."""

from pathlib import Path

import pytest

from tools.convert_datasets.conversion import ClassStatistics
from tools.convert_datasets.conversion.label_files import Converted, report_of
from tools.tasks.settings import Scales, Sizes, fit_iterations, fit_sampling, fit_scales


@pytest.mark.parametrize(
    ("source", "target", "is_hrda", "expected"),
    [
        # Those of the paper for GTA and Cityscapes.
        ((1914, 1052), (2048, 1024), False, Scales(640, (1310, 720), (1280, 640))),
        ((3840, 2160), (2048, 1024), True, Scales(1024, (2048, 1152), (2048, 1024))),
        ((160, 120), (160, 96), False, Scales(96, (144, 108), (160, 96))),
        ((480, 270), (960, 720), True, Scales(256, (480, 270), (342, 256))),
        ((40, 30), (50, 50), False, Scales(64, (86, 64), (64, 64))),
    ],
)
def test_crops_fit_into_both_domains(source, target, is_hrda, expected):
    assert fit_scales(Sizes([source]), Sizes([target]), is_hrda) == expected


def test_sizes_are_described():
    sizes = Sizes([(480, 640), (320, 200), (640, 480)])
    assert (sizes.short, sizes.ratio, sizes.is_uniform) == (480, 1.6, False)
    assert str(sizes) == "320x200 to 640x480"


@pytest.mark.parametrize(
    ("images", "expected"),
    [(10, (4000, 200)), (420, (4000, 200)), (2400, (24000, 600)), (24966, (40000, 1000))],
)
def test_iterations_follow_the_number_of_images(images, expected):
    assert fit_iterations(images) == expected


def statistics(*pixels):
    results = [Converted(f"{i}.png", each) for i, each in enumerate(pixels)]
    total = sum(sum(each.values()) for each in pixels)
    labels = sorted({label for each in pixels for label in each})
    shares = {c: sum(each.get(c, 0) for each in pixels) / total for c in labels}
    return ClassStatistics(report_of(results), shares, {}, Path(), results)


def test_rare_class_sampling_of_gta_is_that_of_the_paper():
    many = statistics(dict.fromkeys(range(19), 10**5))
    found = fit_sampling(many, Sizes([(1914, 1052)]), (1310, 720))
    assert found == {"min_pixels": 3000, "class_temp": 0.01, "min_crop_ratio": 0.5}


def test_rare_class_sampling_of_small_classes_and_large_photos():
    rare = statistics({0: 90_000, 1: 6_000}, {0: 4_000})
    # The most frequent class has 94 % and the rarest 6 %: 0.88 / log(10).
    found = fit_sampling(rare, Sizes([(6000, 4000)]), (1080, 720))
    # The paper's share would be 35758. Class 1 has at most 6000, half of which is below a tenth.
    assert found == {"min_pixels": 3576, "class_temp": 0.38, "min_crop_ratio": 0.04}
