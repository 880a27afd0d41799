"""Build small training runs for tests."""

import copy
import functools
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from experiments import config_text, generate_experiment_cfgs
from mmseg.models.uda import method_class
from mmseg.utils.config import load_config
from tools.experiments.shrink import TOY_ROOTS, shrink

ROOT = Path(__file__).parents[1]
CROP = 64
PRETTY_TEXT = Config.pretty_text


def written(config: dict, folder: Path) -> Path:
    """Write a config of ``generate_experiment_cfgs`` to a file outside ``configs/generated``."""
    path = folder / "bases.py"
    path.write_text(config_text(config, folder))
    return path


def small_config(toy_root: Path, folder: Path, stage: int = -1, exp: int = 0) -> Config:
    """Return a run of an experiment on few small images.

    The stages of experiment 0 are SePiCo (last) and source only (first).
    """
    cfg = copy.deepcopy(_config(exp, stage))
    shrink(cfg, toy_root)
    datasets = [
        cfg.train_dataloader.dataset.source,
        cfg.train_dataloader.dataset.get("target"),
        cfg.val_dataloader.dataset,
        cfg.test_dataloader.dataset,
    ]
    for dataset in filter(None, datasets):
        dataset.data_root = str(toy_root / TOY_ROOTS[dataset.type])
        for transform in dataset.pipeline:
            if transform.type == "Resize":
                transform.scale = (2 * CROP, 9 * CROP // 8)
            elif transform.type == "RandomCrop":
                transform.crop_size = (CROP, CROP)
    cfg.train_dataloader.dataset.rare_class_sampling.min_pixels = 40
    method_class(cfg.model).set_crop_size(cfg.model, CROP)
    if "pseudo_threshold" in cfg.model:
        cfg.model.pseudo_threshold = 0.1
    cfg.val_dataloader.dataset.indices = cfg.test_dataloader.dataset.indices = 2
    cfg.work_dir = str(folder / "run")
    return cfg


@functools.cache
def _config(exp: int | str, stage: int) -> Config:
    with tempfile.TemporaryDirectory() as folder:
        return load_config(written(generate_experiment_cfgs(exp)[stage], Path(folder)))


def own_copy(toy_root: Path, folder: Path) -> Path:
    """Copy the toy set, so that a test may damage it."""
    return Path(shutil.copytree(toy_root, folder / "toy"))


def start_quickly(patch: pytest.MonkeyPatch) -> None:
    """Skip what takes mmengine much of the time of a tiny training.

    It asks compilers for versions, formats configs as programs, and collects garbage for each data
    set.
    """

    def plain_text(cfg: Config) -> str:
        return "\n".join(f"{key} = {value!r}" for key, value in cfg.to_dict().items())

    patch.setattr("mmengine.runner.runner.collect_env", dict)
    patch.setattr(Config, "pretty_text", property(plain_text))
    patch.setattr("mmengine.dataset.base_dataset.gc", SimpleNamespace(collect=lambda: 0))
