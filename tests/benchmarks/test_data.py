"""Benchmark the data loader."""

import json
import time
from dataclasses import replace

import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

from benchmarks import data_files
from benchmarks.data_files import with_data
from benchmarks.loading import build_loader, tensors_of, time_stages, time_workers
from experiments import experiment_config
from mmseg.registry import TRANSFORMS
from mmseg.utils import InputError
from tests.tools.failing import error_of
from tools import benchmark


class SlowDataset(Dataset):
    """Samples of two images, which take 5 ms each."""

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> dict:
        time.sleep(0.005)
        return {"source": torch.zeros(2), "target": torch.zeros(2)}


def _config(root: str, source: str = "GTADataset", target: str = "CityscapesDataset") -> Config:
    """Return a demo config with these data sets in ``root``, which need not exist."""
    cfg = experiment_config({"SynthiaDataset": "synthia-demo"}.get(source, 0))
    if target == "DarkZurichDataset":
        cfg = experiment_config("night-demo")
    for domain in (cfg.train_dataloader.dataset.source, cfg.train_dataloader.dataset.target):
        domain.data_root = f"{root}/{domain.type}"
    return cfg


def test_report_of_toy_data(toy_root, tmp_path, capsys):
    path = tmp_path / "result.json"
    arguments = ["--workers", "0", "--batches", "2", "--step-ms", "0", "--json", str(path)]
    arguments += ["--cfg-options", "exp=7", "train_dataloader.num_workers=3"]
    benchmark.main(["data", "--exp", "0", "--data-root", str(toy_root), *arguments])
    text = capsys.readouterr().out
    assert f"source: GTADataset in {toy_root}/gta\n" in text
    assert "experiment 7, 2 batches of 2 samples" in text
    result = json.loads(path.read_text())
    # image and label of the source, 128 x 128; image of the target, 128 x 256
    assert result["bytes"] == 2 * (4 * 128 * 128 + 3 * 128 * 256)
    assert result["workers"] == 0
    assert result["tensors"] == 6 and result["pinned"] == 0
    assert list(result["stages"]["target"]) == ["decode image", "resize", "flip", "pack"]
    assert {"decode label", "crop"} < set(result["stages"]["source"])
    assert result["idle_share"] == 1  # as the step takes no time


@TRANSFORMS.register_module()
class Waiting(BaseTransform):
    """Wait for 20 ms."""

    def transform(self, results: dict) -> dict:
        time.sleep(0.02)
        return results


def test_stages_are_timed_from_outside(toy_root):
    with with_data(experiment_config(0), str(toy_root)) as (cfg, _):
        cfg.train_dataloader.dataset.target.pipeline.insert(1, {"type": "Waiting"})
        loader = build_loader(cfg)
    pipeline = loader.dataset.target.pipeline
    before = list(pipeline.transforms)
    stages, rate = time_stages(loader, 3)
    assert 0.02 <= stages["target"]["Waiting"] < 0.2
    seconds = sum(sum(stage.values()) for stage in stages.values())
    assert rate == pytest.approx(2 / seconds)
    assert pipeline.transforms == before


def test_waiting_time_of_a_step():
    rate, waits, batch = time_workers(DataLoader(SlowDataset(), 2), 5, step_seconds=0.001)
    assert len(waits) == 5 and min(waits) >= 0.01
    assert 10 < rate < 400  # 4 images in at least 10 ms
    assert [tensor.shape for tensor in tensors_of(batch)] == [(2, 2)] * 2


def test_workers_are_ahead_of_a_long_step():
    loader = DataLoader(SlowDataset(), 2, num_workers=1)
    _, waits, _ = time_workers(loader, 3, step_seconds=0.1)
    assert sorted(waits)[1] < 0.01  # sooner than one worker makes a batch


@pytest.mark.parametrize(
    "source, target",
    [
        ("GTADataset", "CityscapesDataset"),
        ("SynthiaDataset", "CityscapesDataset"),
        ("CityscapesDataset", "DarkZurichDataset"),
    ],
)
def test_missing_data_are_drawn_in_the_real_format(source, target, tmp_path, monkeypatch):
    for name, stand_in in data_files.STAND_INS.items():
        monkeypatch.setitem(data_files.STAND_INS, name, replace(stand_in, size=(320, 160)))
    cfg = _config(str(tmp_path), source, target)
    with with_data(cfg, files=1) as (found, places):
        assert places["source"] == f"{source}, 1 drawn images of 320x160"
        sample = build_loader(found).dataset[0, 0]
        assert sample.keys() >= {"source", "target"}
        assert sample["source"]["data_samples"].ori_shape == (160, 320)
        assert ("target_day" in sample) == (target == "DarkZurichDataset")
    with pytest.raises(InputError, match="does not exist"):  # it was removed
        build_loader(found)
    assert cfg.train_dataloader.dataset.source.data_root == f"{tmp_path}/{source}"
    assert not any(tmp_path.iterdir())


def test_sizes_are_those_of_the_real_images():
    sizes = {name: stand_in.size for name, stand_in in data_files.STAND_INS.items()}
    assert sizes["GTADataset"] == (1914, 1052)
    assert all(value % data_files.ENLARGED == 0 for size in sizes.values() for value in size)


def test_mistakes_are_named(tmp_path):
    data = ["data", "--exp", "0"]
    assert error_of(benchmark.main, *data, "--batches", "0") == "--batches 0: must be at least 1"
    assert error_of(benchmark.main, *data, "--data-root", tmp_path / "no").endswith(
        "no: no such folder"
    )
    message = error_of(benchmark.main, *data, "--data-root", tmp_path)
    assert message.startswith(f"data root {tmp_path}/")
    path = tmp_path / "config.py"
    path.write_text("train_dataloader = dict(dataset=dict(type='GTADataset'))")
    message = error_of(benchmark.main, "data", "--config", path)
    assert message.startswith("the config has no train_dataloader of a UDADataset")
