import sys

import pytest
import torch

from mmseg.apis import init_model, predictions
from mmseg.apis.test_data import test_loader as make_loader
from tests.apis.color_world import LABELS, PAINTED, plain_model, weights, write_world


@pytest.fixture
def world(tmp_path):
    cfg = write_world(tmp_path, plain_model(), scale=1)
    cfg.test_dataloader.dataset.pipeline[1].scale = (4, 2)
    torch.save(weights(), tmp_path / "weights.pth")
    return cfg, init_model(cfg, tmp_path / "weights.pth", torch.device("cpu"))


def test_samples_come_one_by_one(world, capsys):
    cfg, model = world
    shown = []
    for sample in predictions(model, make_loader(cfg, labelled=True)):
        assert torch.is_grad_enabled()  # the caller decides about gradients
        assert not sample.pred_sem_seg.data.requires_grad
        shown.append(sample)
    assert [sample.pred_sem_seg.data[0].tolist() for sample in shown] == PAINTED
    assert [sample.gt_sem_seg.data[0].tolist() for sample in shown] == LABELS
    assert capsys.readouterr().err == ""  # no progress bar without a terminal


def test_a_bar_on_a_terminal(world, capsys, monkeypatch):
    cfg, model = world
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    list(predictions(model, make_loader(cfg, labelled=False), "night"))
    err = capsys.readouterr().err
    assert "night" in err and "100%" in err


def test_the_caller_may_change_what_is_predicted(world):
    cfg, model = world
    for sample in predictions(model, make_loader(cfg, labelled=False)):
        assert "gt_sem_seg" not in sample
        sample.pred_sem_seg.data[...] = 1
        assert sample.pred_sem_seg.data.unique().tolist() == [1]


def test_on_a_cpu_maps_are_channels_last(world):
    assert world[1].memory_format is torch.channels_last


def test_data_are_read_once_so_workers_end_with_them(world):
    cfg, _ = world
    cfg.test_dataloader.num_workers = 1
    assert cfg.test_dataloader.persistent_workers
    assert not make_loader(cfg, labelled=False).persistent_workers
