"""A whole training step of the demo (experiment 0), with adaptation and without."""

from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.structures import PixelData

from experiments import config_text, generate_experiment_cfgs
from mmseg.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from mmseg.structures import SegDataSample
from mmseg.utils.config import load_config

BASES = Path(__file__).parents[1] / "configs" / "_base_"


def demo_config(folder: Path, stage: int) -> Config:
    """A stage of experiment 0 as ``run_experiments.py`` would train it."""
    config = generate_experiment_cfgs(0)[stage]
    path = folder / "config.py"
    path.write_text(config_text(config).replace("../_base_", str(BASES)))
    return load_config(path)


def demo_batch() -> dict:
    """Random images of the demo's size; blocks of 16 x 16 pixels share a label."""
    samples = []
    for _ in range(2):
        label = torch.randint(0, 19, (1, 8, 8)).repeat_interleave(16, 1).repeat_interleave(16, 2)
        sample = SegDataSample()
        sample.set_data({"gt_sem_seg": PixelData(data=label.byte())})
        samples.append(sample)
    source = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8)
    target = torch.randint(0, 256, (2, 3, 128, 256), dtype=torch.uint8)
    return {
        "source": {"inputs": list(source), "data_samples": samples},
        "target": {"inputs": list(target), "data_samples": [SegDataSample() for _ in range(2)]},
    }


def training_step(folder: Path, stage: int) -> Callable[[], dict]:
    """One iteration as a function; SePiCo is past the start of its contrast."""
    cfg = demo_config(folder, stage)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if cfg.model.type == "SePiCo":
        model.iteration = model.start_contrast_iter
    wrapper_cfg = cfg.optim_wrapper.to_dict()
    constructor = {
        "type": wrapper_cfg.pop("constructor"),
        "paramwise_cfg": wrapper_cfg.pop("paramwise_cfg"),
        "optim_wrapper_cfg": wrapper_cfg,
    }
    optim_wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build(constructor)(model)
    batch = demo_batch()
    return lambda: model.train_step(batch, optim_wrapper)


def test_sepico_step_against_source_only(measure, tmp_path):
    source_only, sepico = training_step(tmp_path, 0), training_step(tmp_path, -1)
    assert "tgt.aux.loss_cl" in sepico()
    measure(
        "SePiCo training step of the demo, 2 x 128 x 128",
        sepico,
        than=("source only", source_only),
        rounds=5,
    )
