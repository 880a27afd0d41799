"""Check the small debug copy of each experiment."""

import pytest
import torch
from mmengine.config import Config

from experiments import EXPERIMENTS, generate_experiment_cfgs
from mmseg.config_check import check_config
from mmseg.registry import MODELS
from mmseg.utils.config import load_config
from tests.training import written
from tools.experiments.shrink import shrink


def shrunk_config(exp: int, toy_root, tmp_path) -> Config:
    cfg = load_config(written(generate_experiment_cfgs(exp)[-1], tmp_path))
    shrink(cfg, toy_root)
    return cfg


@pytest.mark.parametrize("exp", list(EXPERIMENTS))
def test_it_keeps_the_method_and_builds(exp, tmp_path):
    cfg = shrunk_config(exp, tmp_path, tmp_path)
    check_config(cfg)
    assert cfg.model.contrast.variant == EXPERIMENTS[exp].variant
    model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.model.parameters()) < 15e6
    feats = model.model.extract_feat(torch.zeros(2, 3, 128, 128))
    assert model.model.decode_head(feats).shape[1] == 19
    assert model.model.project(feats).shape[1] == model.prototypes[0].class_mean.shape[1]
    assert 0 < cfg.model.start_contrast_iter < cfg.train_cfg.max_iters == 10
    assert max(scheduler.end for scheduler in cfg.param_scheduler) == 11


def test_toy_data_stands_in_for_missing_data_only(tmp_path):
    cfg = shrunk_config(1, tmp_path / "toy", tmp_path)
    assert cfg.train_dataloader.dataset.source.data_root == str(tmp_path / "toy" / "gta")
    assert cfg.val_dataloader.dataset.data_root == str(tmp_path / "toy" / "cityscapes")
    real = tmp_path / "real"
    real.mkdir()
    cfg.train_dataloader.dataset.source.data_root = str(real)
    shrink(cfg, tmp_path / "toy")
    assert cfg.train_dataloader.dataset.source.data_root == str(real)
