import dataclasses
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from PIL import Image

from mmseg.utils import InputError
from tests.tools.submission.submissions import (
    CITY_IMAGES,
    CONFIDENCE,
    INVALID,
    LABELS,
    NIGHT_IMAGES,
    SIZE,
    city_files,
    label_map,
    night_files,
    png,
    renamed,
    replaced,
    without,
    write_zip,
)
from tools.submission.check import check_submission
from tools.submission.servers import BENCHMARKS, image_sizes, images_below

NIGHT_SIZES = dict.fromkeys(NIGHT_IMAGES, SIZE)
FIRST, SECOND = (f"{image}.png" for image in NIGHT_IMAGES)
GREY = label_map()


def check(tmp_path, files, **options):
    return check_submission(write_zip(tmp_path / "a.zip", files), **options)


def test_a_good_night_submission(tmp_path):
    report = check(tmp_path, night_files(), images=NIGHT_SIZES)
    assert (report.benchmark, report.num_images, report.errors) == ("dark_zurich", 2, [])
    assert report.notes == ["Dark Zurich test has 151 images, not 2"]
    report = check(tmp_path, night_files(), images=NIGHT_SIZES, benchmark="acdc")
    assert (report.benchmark, report.errors) == ("acdc", [])
    assert report.notes == ["ACDC test has 2000 images, not 2"]


def test_a_good_cityscapes_submission(tmp_path):
    report = check(tmp_path, city_files(), images=dict.fromkeys(CITY_IMAGES, SIZE))
    assert (report.benchmark, report.num_images, report.errors) == ("cityscapes", 2, [])
    nested = renamed(lambda name: f"results/{name.split('_')[0]}/{name}")(city_files())
    nested["results/notes.txt"] = b""
    report = check(tmp_path, nested, size=SIZE)
    assert report.errors == ["2 images instead of 1525"]
    assert report.notes == ["not part of the submission: results/notes.txt"]


def test_the_official_script_finds_the_names_that_are_allowed(tmp_path):
    zipfile.ZipFile(write_zip(tmp_path / "a.zip", city_files())).extractall(tmp_path / "out")
    for image in CITY_IMAGES:
        official.args.predictionPath = official.args.predictionWalk = None
        official.args.predictionPath = str(tmp_path / "out")
        found = official.getPrediction(official.args, f"x/{image}_gtFine_labelIds.png")
        assert found == str(tmp_path / "out" / f"{image}_leftImg8bit.png")


def in_each(image):
    return ", ".join(f"{folder}/{image}" for folder in (LABELS, INVALID, CONFIDENCE))


ROOT = f"{LABELS}/, {INVALID}/, {CONFIDENCE}/ must be at the root of the zip, not in"
ONE_CHANNEL = "instead of one 8-bit grey channel"
BROKEN = {
    "one folder too deep": (renamed(lambda name: f"my/{name}"), [f"{ROOT}: my/"]),
    "no confidence": (without("confidence"), ["confidence/ is missing, or holds no maps"]),
    "a subfolder": (
        renamed(lambda name: name.replace("Ids/", "Ids/night/")),
        [f"in a subfolder: {LABELS}/night/{FIRST}, {LABELS}/night/{SECOND}"],
    ),
    "a missing image": (without(f"{INVALID}/{FIRST}"), [f"missing: {INVALID}/{FIRST}"]),
    "an image of another set": (
        renamed(lambda name: name.replace("2_rgb", "3_rgb")),
        [
            f"missing: {in_each(SECOND)}",
            f"of no image of the test set: {in_each(SECOND.replace('2_rgb', '3_rgb'))}",
        ],
    ),
    "a name": (
        renamed(lambda name: name.replace(f"{CONFIDENCE}/{FIRST}", "confidence/a.png")),
        ["not named <frame>_rgb_anon.png: confidence/a.png", f"missing: {CONFIDENCE}/{FIRST}"],
    ),
    "a second map": (
        replaced(f"{LABELS}/more/{FIRST}", png(GREY)),
        [
            f"in a subfolder: {LABELS}/more/{FIRST}",
            f"a second map of one image: {LABELS}/more/{FIRST}",
        ],
    ),
    "size": (
        replaced(f"{LABELS}/{FIRST}", png(label_map(8, 5))),
        [f"8x5 pixels instead of 8x4: {LABELS}/{FIRST}"],
    ),
    "colours": (
        replaced(f"{LABELS}/{FIRST}", png(GREY, "RGB")),
        [f"RGB {ONE_CHANNEL}: {LABELS}/{FIRST}"],
    ),
    "palette": (
        replaced(f"{INVALID}/{FIRST}", png(GREY, "P")),
        [f"a palette {ONE_CHANNEL}: {INVALID}/{FIRST}"],
    ),
    "16 bits": (
        replaced(f"{CONFIDENCE}/{FIRST}", png(GREY.astype(np.uint16))),
        [f"16 bits {ONE_CHANNEL}: {CONFIDENCE}/{FIRST}"],
    ),
    "label ids": (
        replaced(f"{LABELS}/{FIRST}", png(GREY * 0 + np.arange(17, 25, dtype=np.uint8))),
        [f"values other than the train ids 0-18, 255: {LABELS}/{FIRST} (19, 20, 21, ...)"],
    ),
    "no PNG": (
        replaced(f"{LABELS}/{FIRST}", b"\xff\xd8\xff\xe0JFIF"),
        [f"not a PNG image, although its name says so: {LABELS}/{FIRST}"],
    ),
    "an empty file": (
        replaced(f"{LABELS}/{FIRST}", b""),
        [f"not a PNG image, although its name says so: {LABELS}/{FIRST}"],
    ),
    "cut": (
        replaced(f"{LABELS}/{FIRST}", png(GREY)[:-10]),
        [f"truncated or damaged: {LABELS}/{FIRST}"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_each_fault_is_reported(tmp_path, case):
    change, errors = BROKEN[case]
    report = check(tmp_path, change(night_files()), images=NIGHT_SIZES)
    assert report.benchmark == "dark_zurich"
    assert report.errors == errors


def test_every_kind_of_fault_is_reported_on_one_line(tmp_path):
    files = {f"{LABELS}/{i}_rgb_anon.png": png(GREY, "RGB") for i in range(5)}
    files[f"{LABELS}/5_rgb_anon.png"] = png(GREY * 0 + 20)
    assert check(tmp_path, files, size=(9, 9)).errors == [
        f"{INVALID}/ is missing, or holds no maps",
        f"{CONFIDENCE}/ is missing, or holds no maps",
        f"6 images in {LABELS}/ instead of 151",
        f"RGB {ONE_CHANNEL}: 5 files, such as "
        f"{LABELS}/0_rgb_anon.png, {LABELS}/1_rgb_anon.png, {LABELS}/2_rgb_anon.png",
        f"8x4 pixels instead of 9x9: {LABELS}/5_rgb_anon.png",
        f"values other than the train ids 0-18, 255: {LABELS}/5_rgb_anon.png (20)",
    ]


def test_without_images_the_folders_are_compared(tmp_path):
    files = without(f"{INVALID}/{FIRST}")(night_files())
    files[f"{LABELS}/more_rgb_anon.png"] = png(label_map(1920, 1080))
    errors = check(tmp_path, files).errors
    assert f"3 images in {LABELS}/ instead of 151" in errors
    assert f"1 image in {INVALID}/ instead of 151" in errors
    assert f"missing: {INVALID}/{FIRST}" in errors
    assert f"in this folder only: {LABELS}/more_rgb_anon.png" in errors
    (size,) = (line for line in errors if "1920x1080" in line)
    assert size.startswith("8x4 pixels instead of 1920x1080: 5 files, such as ")


def test_confidence_that_is_a_copy_of_the_labels_is_noted(tmp_path):
    files = replaced(f"{CONFIDENCE}/{FIRST}", png(GREY))(night_files())
    report = check(tmp_path, files, images=NIGHT_SIZES)
    assert report.errors == []
    assert f"{CONFIDENCE}/ holds the labels, not confidences, of 1 image" in report.notes


def test_invalid_maps_with_other_classes_are_noted(tmp_path):
    """Invalid maps may mark pixels as invalid, but another class is a difference."""
    declared, other = label_map(), label_map()
    declared[1] = 255
    other[1] = 3
    for values, count in ((declared, 0), (other, 1)):
        files = replaced(f"{INVALID}/{FIRST}", png(values))(night_files())
        report = check(tmp_path, files, images=NIGHT_SIZES)
        assert report.errors == []
        found = [f"{INVALID}/ differs from {LABELS}/ by more than invalid pixels (255) in 1 image"]
        assert [note for note in report.notes if "differs" in note] == found * count


def test_files_next_to_the_maps_are_noted(tmp_path):
    files = night_files() | {"readme.txt": b"", f"__MACOSX/{LABELS}/._{FIRST}": b"", "my/": b""}
    report = check(tmp_path, files, images=NIGHT_SIZES)
    assert report.errors == []
    assert f"not part of the submission: readme.txt, __MACOSX/{LABELS}/._{FIRST}" in report.notes


def test_train_ids_are_not_for_cityscapes(tmp_path):
    name = f"{CITY_IMAGES[0]}_leftImg8bit.png"
    report = check(tmp_path, city_files() | {name: png(GREY)}, size=SIZE)
    assert report.errors[1] == (
        f"values other than the label ids 0, 7-8, 11-13, 17, 19-28, 31-33: {name} (1, 2, 3, ...)"
    )


def test_bytes_damaged_within_the_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:  # uncompressed, so that the bytes can be found
        for name, data in night_files().items():
            archive.writestr(name, data)
    path.write_bytes(path.read_bytes().replace(png(GREY), png(GREY)[:-1] + b"!", 1))
    errors = check_submission(path, images=NIGHT_SIZES).errors
    assert errors == [f"damaged within the zip: {LABELS}/{FIRST}"]


@pytest.mark.parametrize("byte, value", [(6, 99), (47, 0xFF)])  # needed version; name in UTF-8
def test_a_damaged_list_of_contents(tmp_path, byte, value):
    path = write_zip(tmp_path / "a.zip", {"labelTrainIds/ü.png": b""})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + byte] = value
    path.write_bytes(data)
    with pytest.raises(InputError, match="a.zip is not a zip file, or is damaged"):
        check_submission(path)


@pytest.mark.parametrize("files", [{}, {"readme.txt": b"x"}])
def test_a_zip_without_maps_is_not_good(tmp_path, files):
    path = write_zip(tmp_path / "a.zip", files)
    assert check_submission(path, "cityscapes").errors == ["no maps in it"]
    assert check_submission(path, "dark_zurich").errors == [
        f"{folder}/ is missing, or holds no maps" for folder in (LABELS, INVALID, CONFIDENCE)
    ]


def test_invalid_zips_and_unknown_benchmarks_are_refused(tmp_path):
    with pytest.raises(InputError, match="no zip at .*/b.zip"):
        check_submission(tmp_path / "b.zip")
    (tmp_path / "b.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="b.zip is not a zip file, or is damaged"):
        check_submission(tmp_path / "b.zip")
    whole = write_zip(tmp_path / "a.zip", night_files()).read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="b.zip is not a zip file, or is damaged"):
        check_submission(tmp_path / "b.zip")
    with pytest.raises(InputError, match="name the benchmark by --benchmark"):
        check(tmp_path, {"a.png": png(GREY)})
    with pytest.raises(InputError, match="'kitti' unknown; choose from dark_zurich, acdc, city"):
        check(tmp_path, night_files(), benchmark="kitti")


def test_the_number_of_images_tells_acdc_from_dark_zurich(tmp_path, monkeypatch):
    rows = {"dark_zurich": 2, "acdc": 5}
    for name, num_images in rows.items():
        row = dataclasses.replace(BENCHMARKS[name], num_images=num_images)
        monkeypatch.setitem(BENCHMARKS, name, row)
    assert check(tmp_path, night_files()).benchmark == "dark_zurich"
    more = night_files() | {f"{LABELS}/{i}_rgb_anon.png": b"" for i in range(6)}
    assert check(tmp_path, more).benchmark == "acdc"


def test_images_of_a_folder(tmp_path):
    night = BENCHMARKS["dark_zurich"]
    for folder, name in (("a", FIRST), ("b", SECOND)):
        (tmp_path / folder).mkdir()
        Image.fromarray(GREY).save(tmp_path / folder / name)
    Image.fromarray(GREY).save(tmp_path / "a" / "other.png")
    assert images_below(night, tmp_path) == NIGHT_SIZES
    # As in ACDC, where each condition has a folder for each split.
    tested = tmp_path / "fog" / "test" / "drive"
    tested.mkdir(parents=True)
    Image.fromarray(GREY).save(tested / FIRST)
    assert images_below(night, tmp_path) == {Path(FIRST).stem: SIZE}
    (tested / FIRST).unlink()
    with pytest.raises(InputError, match=r"no images of Cityscapes test \(<city>_<seq.* below "):
        images_below(BENCHMARKS["cityscapes"], tmp_path)
    with pytest.raises(InputError, match="other.png is not named like an image of Dark Zurich"):
        image_sizes(night, [tmp_path / "a" / "other.png"])
    Image.fromarray(GREY).save(tmp_path / "b" / FIRST)
    with pytest.raises(InputError, match="are one image of Dark Zurich test"):
        images_below(night, tmp_path)
    (tmp_path / "b" / FIRST).write_bytes(b"")
    with pytest.raises(InputError, match="cannot be decoded as an image"):
        image_sizes(night, [tmp_path / "b" / FIRST])


@pytest.mark.parametrize("announced", [None, 100])
def test_an_entry_that_fills_the_memory_is_not_unpacked(tmp_path, announced):
    """An entry of 60 MiB is refused, even if its header announces 100 bytes."""
    name = f"{LABELS}/{FIRST}"
    path = write_zip(tmp_path / "a.zip", night_files() | {name: bytes(60 << 20)})
    if announced is not None:
        data = path.read_bytes().replace(
            (60 << 20).to_bytes(4, "little"), announced.to_bytes(4, "little")
        )
        path.write_bytes(data)
    tracemalloc.start()
    errors = check_submission(path, images=NIGHT_SIZES).errors
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (error,) = errors
    fault = "more than 16 MiB when unpacked" if announced is None else "damaged within the zip"
    assert error == f"{fault}: {name}"
    assert peak < 40 << 20


def test_a_zip_of_more_files_than_any_server_takes(tmp_path):
    """A zip that lists one file 100 001 times is refused."""
    data = write_zip(tmp_path / "a.zip", {"a": b""}).read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    contents = data[start:end] * 100_001
    tail = struct.pack("<HHIIH", 0xFFFF, 0xFFFF, len(contents), start, 0)
    (tmp_path / "a.zip").write_bytes(data[:start] + contents + b"PK\x05\x06" + bytes(4) + tail)
    with pytest.raises(InputError, match="a.zip lists 100001 files, more than 100000"):
        check_submission(tmp_path / "a.zip")
