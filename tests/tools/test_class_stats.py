"""Count the classes of any labelled data set."""

import json
import subprocess
import sys

import numpy as np
import pytest

from mmseg.datasets import FolderDataset, GTADataset
from mmseg.utils import InputError
from tests.datasets.small_data import (
    LABELLED,
    cut,
    make_gta,
    write_image,
    write_label,
    write_palette_label,
)
from tests.golden import load_golden
from tests.tools.failing import error_of
from tests.training import ROOT
from tools.class_stats import main
from tools.convert_datasets.conversion import count_dataset
from tools.convert_datasets.conversion.statistics import class_weights

STATISTICS = ("sample_class_stats.json", "sample_class_stats_dict.json", "samples_with_class.json")
COUNT = ("--labels", "labels", "--suffix", "_ids.png", "--num-classes", "3", "--nproc", "1")


def statistics(root) -> list:
    return [json.loads((root / name).read_text()) for name in STATISTICS]


@pytest.fixture
def folder(tmp_path):
    """Write two label maps of 8 pixels, greyscale and palette, and one that is not counted."""
    write_label(tmp_path / "labels/a/1_ids.png", np.array([[0, 0, 0, 0], [1, 1, 2, 255]]))
    write_palette_label(tmp_path / "labels/b/2_ids.png", np.full((2, 4), 1))
    write_label(tmp_path / "labels/b/2_other.png", np.full((2, 4), 77))
    return tmp_path


def test_a_folder(folder, capsys):
    main([str(folder), *COUNT, "--class-weights", "0.5"])
    first, second = "labels/a/1_ids.png", "labels/b/2_ids.png"
    assert statistics(folder) == [
        [{"0": 4, "1": 2, "2": 1, "file": first}, {"1": 8, "file": second}],
        {first: {"0": 4, "1": 2, "2": 1}, second: {"1": 8}},
        {"0": [[first, 4]], "1": [[first, 2], [second, 8]], "2": [[first, 1]]},
    ]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["class", "share", "of", "pixels", "(%)"]
    assert [line.split() for line in printed[1:4]] == [
        ["0", "26.6667"],
        ["1", "66.6667"],
        ["2", "6.6667"],
    ]
    logs = np.log([4, 10, 1])
    expected = (logs.mean() - logs) / logs.std(ddof=1) * 0.5 + 1
    assert printed[4] == "values found: 0, 1, 2, 255; without class (255): 6.25%"
    weights = json.loads(printed[5].removeprefix("class_weight="))
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert printed[6] == f"the statistics of 2 label maps are ready in {folder}"


def test_a_folder_with_its_file_of_classes(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for split, values in (("train", [[7, 7, 9, 0]]), ("val", [[9, 9, 9, 9]])):
        write_image(tmp_path / f"{split}/images/a.png", (1, 4), rng)
        write_label(tmp_path / f"{split}/labels/a.png", np.array(values))
    content = {"classes": ["soil", "crop"], "label_map": {"7": 0, "9": 1}, "ignore": [0]}
    (tmp_path / "classes.json").write_text(json.dumps(content))
    for arguments in ([], ["--labels", "train/labels"]):
        main([str(tmp_path), "--nproc", "1", *arguments])
        assert statistics(tmp_path)[0] == [{"0": 2, "1": 1, "file": "train/labels/a.png"}]
        printed = capsys.readouterr().out
        assert "soil   0  66.6667\n crop   1  33.3333\n" in printed
        assert "values found: 0, 1, 255; without class (255): 25.00%" in printed
    (tmp_path / "classes.json").write_text(json.dumps({"classes": ["soil"]}))
    with pytest.raises(InputError, match=r"there is one class \(soil\), so there is nothing to"):
        main([str(tmp_path)])


def test_a_config_counts_all_of_its_source(tmp_path, capsys):
    make_gta(tmp_path / "gta")
    before = statistics(tmp_path / "gta")
    for name in STATISTICS:
        (tmp_path / "gta" / name).unlink()
    source = {
        "type": "GTADataset",
        "data_root": str(tmp_path / "gta"),
        "data_prefix": LABELLED,
        "indices": 2,
        "pipeline": [{"type": "LoadImageFromFile"}],
    }
    config = tmp_path / "config.json"
    for dataset in (source, {"type": "UDADataset", "source": source, "target": None}):
        config.write_text(json.dumps({"train_dataloader": {"dataset": dataset}}))
        main(["--config", str(config), "--nproc", "2"])
        assert statistics(tmp_path / "gta") == before
    assert "\n         road   0  4.4304\n" in capsys.readouterr().out


def test_label_of_another_size_than_its_image_is_not_drawn(folder):
    write_label(folder / "labels/1.png", np.zeros((2, 4)))
    write_image(folder / "images/1.jpg", (2, 5), np.random.default_rng(0))
    dataset = FolderDataset(str(folder), LABELLED, metainfo={"classes": ["a", "b"]})
    found = count_dataset(dataset)
    assert "1 of 1 label maps have another size" in found.report.remarks[0]
    assert "labels/1.png is 4x2 pixels large, its image " in found.report.remarks[0]
    assert found.report.remarks[0].endswith("images/1.jpg 5x2")
    assert found.frequencies == {}
    assert statistics(folder)[0] == [{"file": "labels/1.png"}]


def test_damaged_label_maps_are_listed_and_nothing_is_written(folder, capsys):
    cut(folder / "labels/a/1_ids.png", 30)
    write_label(folder / "labels/b/2_ids.png", np.full((2, 4), 3))
    with pytest.raises(InputError, match="2 of 2 label files are damaged or unfit"):
        main([str(folder), *COUNT])
    listed = capsys.readouterr().err
    assert f"damaged: {folder}/labels/a/1_ids.png is truncated" in listed
    assert "2_ids.png holds the value 3, but there are 3 classes" in listed
    assert not any((folder / name).exists() for name in STATISTICS)


def test_a_class_without_pixels_has_no_weight(folder):
    arguments = [str(folder), *COUNT, "--num-classes", "5", "--class-weights", "1"]
    with pytest.raises(InputError, match="class 3, 4: no pixels"):
        main(arguments)
    assert len(statistics(folder)[0]) == 2


def test_errors(folder, tmp_path, monkeypatch):
    assert "/nowhere does not exist" in error_of(main, folder, *COUNT, "--labels", "nowhere")
    message = error_of(main, folder, *COUNT, "--suffix", "_x.png")
    assert f"no label maps (*_x.png) below {folder}/labels: check the suffix" in message
    assert "1 to 255 classes, not 256" in error_of(main, folder, *COUNT, "--num-classes", "256")
    config = tmp_path / "config.json"
    config.write_text("{}")
    assert "has no train_dataloader.dataset" in error_of(main, "--config", config)
    dataset = {"type": "GTADatset", "data_root": str(folder)}
    config.write_text(json.dumps({"train_dataloader": {"dataset": dataset}}))
    assert "GTADatset" in error_of(main, "--config", config)
    make_gta(folder)
    with pytest.raises(InputError, match="the GTADataset reads no labels"):
        count_dataset(GTADataset(str(folder), {"img_path": "images"}))
    absolute = {key: str(folder / name) for key, name in LABELLED.items()}
    with pytest.raises(InputError, match="has no data_root"):
        count_dataset(GTADataset(data_prefix=absolute))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert f"cannot write to {folder}, where" in error_of(main, folder, *COUNT)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["data"],
        ["data", "--labels", "labels"],
        ["data", "--labels", "labels", "--num-classes", "3", "--config", "c.py"],
        ["--config", "c.py", "--nproc", "0"],
        ["--config", "c.py", "--class-weights", "0"],
    ],
)
def test_missing_or_extra_options_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_as_a_program_an_error_is_one_line(tmp_path):
    command = [sys.executable, "tools/class_stats.py", "--config", str(tmp_path / "none.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"error: no config at {tmp_path}/none.py\n"


def test_values_without_class_are_reported_once(folder, capsys):
    for i in range(5):
        write_label(folder / f"labels/c/{i}_ids.png", np.full((2, 4), 7 + i % 2))
    with pytest.raises(InputError, match="5 of 7 label files are unfit .* no statistics were writ"):
        main([str(folder), *COUNT])
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"unfit: 5 of 7 label files, the first: {folder}/labels/c/0_ids.png holds the value 7, but "
        "there are 3 classes (0-2, and 255 for none): write these values or name more classes; "
        "values without meaning: 7, 8"
    )


def test_a_class_drawn_as_255_is_reported(tmp_path, capsys):
    write_label(tmp_path / "labels/1.png", np.array([[0, 255, 255, 0]]))
    with pytest.raises(
        InputError, match=r"shows class 1; the values found are 0, 255: 255 means no c"
    ):
        main([str(tmp_path), "--labels", "labels", "--num-classes", "2", "--nproc", "1"])
    assert "values found: 0, 255; without class (255): 50.00%" in capsys.readouterr().out
    assert statistics(tmp_path)[0] == [{"0": 2, "file": "labels/1.png"}]
    write_label(tmp_path / "labels/1.png", np.array([[0, 255, 1, 0]]))
    main([str(tmp_path), "--labels", "labels", "--num-classes", "3", "--nproc", "1"])
    assert "warning: no label map of " in capsys.readouterr().err


@pytest.mark.parametrize(("key", "std"), [("train_std005", 0.05), ("test_std016", 0.16)])
def test_class_weights_equal_the_release(key, std):
    golden = load_golden("day_night.npz")
    weights = class_weights(golden["class_frequency"], std)
    np.testing.assert_allclose(weights, golden[f"class_weight_{key}"], rtol=1e-5)
    assert weights.std(ddof=1) == pytest.approx(std)


def test_class_weights_by_hand():
    # In steps of log 4 they are at 0, 1 and 2: mean 1, sample standard deviation 1.
    np.testing.assert_allclose(class_weights([0.64, 0.16, 0.04], 0.5), [0.5, 1, 1.5])
    assert class_weights([0.25, 0.25], 0.5).tolist() == [1, 1]
    with pytest.raises(ValueError, match="without pixels"):
        class_weights([0.5, 0], 0.5)
