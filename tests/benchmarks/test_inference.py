"""Run ``tools.benchmark inference`` on a few small images."""

import json
import re

import pytest
import torch

from benchmarks.evaluation import EvaluationSettings, images_to_evaluate, measure_evaluation
from benchmarks.report import evaluation_table
from mmseg.utils import InputError
from tools.benchmark import main
from tools.common.options import fast_switches

CPU = torch.device("cpu")


def test_data_of_the_config_are_used_if_present(toy_config):
    with images_to_evaluate(toy_config, 3, None) as cfg:
        assert cfg.test_dataloader.dataset.data_root == toy_config.val_dataloader.dataset.data_root
        result = measure_evaluation(cfg, None, EvaluationSettings(batch_size=2), CPU)
    assert result["images"] == 3
    assert result["image_size"] == [256, 128] and result["test_size"] == [128, 64]
    assert set(result["parts"]) == {"waiting for images", "network", "classes", "metric", "rest"}
    assert all(spent >= 0 for spent in result["parts"].values())
    assert 3 * sum(result["parts"].values()) == pytest.approx(result["seconds"], rel=0.05)
    assert result["images_per_second"] == pytest.approx(3 / result["seconds"])
    assert 0 <= result["scores"]["mIoU"] <= 100 and result["peak_memory_mib"]["resident"] > 50


def test_images_are_drawn_at_the_requested_size(toy_config):
    with images_to_evaluate(toy_config, 2, (160, 96), files=1) as cfg:
        result = measure_evaluation(cfg, None, EvaluationSettings(), CPU)
    assert result["images"] == 2 and result["image_size"] == [160, 96]


def test_both_settings_and_their_ratio(toy_config, tmp_path, no_processes, capsys):
    toy_config.dump(tmp_path / "toy.py")
    arguments = ["inference", "--config", str(tmp_path / "toy.py"), "--device", "cpu"]
    arguments += ["--images", "2", "--batch-size", "2", "--json", str(tmp_path / "r.json")]
    main([*arguments, "--compare"])
    printed = capsys.readouterr().out
    assert "plain: batch 1, 0 workers, fp32" in printed
    precision = fast_switches("cpu")["precision"]
    assert f"fast: batch 2, 0 workers, {precision}" in printed
    saved = json.loads((tmp_path / "r.json").read_text())
    plain, fast = (saved[name]["scores"]["mIoU"] for name in ("plain", "fast"))
    # Folded BatchNorm rounds differently.
    assert fast == pytest.approx(plain, abs=0.05 if precision == "fp32" else 1)
    rows = {line[:18].strip(): line.split() for line in evaluation_table(
        {name: saved[name] for name in ("plain", "fast")}).splitlines()}  # fmt: skip
    plain, fast, ratio = map(float, rows["ms an image"][-3:])
    assert ratio == pytest.approx(plain / fast, rel=0.05)


def test_the_memory_of_a_large_photo(toy_config, tmp_path, capsys, no_processes):
    toy_config.test_dataloader = toy_config.val_dataloader
    toy_config.dump(tmp_path / "toy.py")
    main(["inference", "--config", str(tmp_path / "toy.py"), "--device", "cpu", "--photo", "300"])
    found = re.fullmatch(
        r".+, photo of 300x300: peak resident (\d+) MiB \((\d+)\.\d bytes a pixel\), .* s\n",
        capsys.readouterr().out,
    )
    assert int(found[1]) > 50
    assert int(found[1]) * 2**20 / 300**2 == pytest.approx(int(found[2]), rel=0.01)


def test_weights_of_a_checkpoint(toy_config, tmp_path):
    with pytest.raises(InputError, match="missing.pth"):
        measure_evaluation(toy_config, str(tmp_path / "missing.pth"), EvaluationSettings(), CPU)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0"], "--images 0: must be at least 1"),
        (["--batch-size", "0"], "--batch-size 0: must be at least 1"),
        (["--workers", "-1"], "--workers -1: must be at least 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(toy_config, tmp_path, arguments, message):
    toy_config.dump(tmp_path / "toy.py")
    with pytest.raises(InputError, match=message):
        main(["inference", "--config", str(tmp_path / "toy.py"), "--device", "cpu", *arguments])
