"""The experiments against the settings of the authors' release, and what they are made into."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import LinearLR, PolyLR
from torch.optim import SGD

from experiments import (
    EXPERIMENTS,
    describe,
    generate_experiment_cfgs,
    poly_with_warmup,
)
from mmseg.registry import DATASETS
from mmseg.utils import InputError
from mmseg.utils.config_check import check_config
from mmseg.utils.legacy_config import translate
from tests.golden import load_golden
from tests.old_configs import old_config
from tests.training import written

# Variables that files in configs/_base_ hand on; what they stand for is compared in its place.
VARIABLES = r"\w+_pipeline|segmentor|data_preprocessor|(train|test)_class_weight"


def plain(node: Any) -> Any:
    """Without the difference between lists and tuples."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list | tuple) else node


def resolved(exp: int | str, folder: Path) -> dict:
    """The settings of an experiment without bases and their variables."""
    cfg = Config.fromfile(written(generate_experiment_cfgs(exp)[0], folder))
    return {k: v for k, v in plain(cfg.to_dict()).items() if not re.fullmatch(VARIABLES, k)}


@pytest.mark.parametrize("exp", range(1, 19))
def test_every_setting_equals_the_release(exp, tmp_path):
    """That the translation heeds every setting is tested in tests/utils/legacy_config."""
    found = resolved(exp, tmp_path)
    translated, unknown = translate(old_config(exp))
    expected = plain(translated)
    assert unknown == []
    # Computed from the training weights there, rounded to float32 here.
    weights = [each["model"]["segmentor"]["test_cfg"] for each in (found, expected)]
    weights = [test_cfg.pop("class_weight", None) for test_cfg in weights]
    assert weights[0] == pytest.approx(weights[1], abs=1e-6)
    # What a data set says itself is not in our configs.
    target = found["train_dataloader"]["dataset"]["target"]
    target["ignored_edges"] = list(DATASETS.get(target["type"]).IGNORED_EDGES)
    assert (weights[0] is not None) == (found["model"]["type"] == "SePiCoDark")
    assert found == expected


@pytest.mark.parametrize("exp", EXPERIMENTS)
def test_configs_pass_the_check_and_tell_how_to_run_them(exp, tmp_path):
    for config in generate_experiment_cfgs(exp):
        path = written(config, tmp_path)
        head = f"# {describe(exp)}\n# python run_experiments.py --exp {exp}\n"
        assert path.read_text().startswith(head)
        check_config(Config.fromfile(path))


@pytest.mark.parametrize("max_iters", [40000, 60000])
def test_learning_rate_equals_the_release(max_iters):
    golden = load_golden("learning_rate.json")
    rows = {t: (base, head) for t, base, head in golden[str(max_iters)]}
    base = golden["base_lr"]
    weights = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    groups = [{"params": [weights[0]], "lr": base}, {"params": [weights[1]], "lr": 10 * base}]
    optimizer = SGD(groups, lr=base)
    kinds = {"PolyLR": PolyLR, "LinearLR": LinearLR}
    schedulers = [
        kinds[config.pop("type")](optimizer, **config)
        for config in poly_with_warmup(max_iters, 1500)
    ]
    for t in range(max_iters):
        if t in rows:
            found = [group["lr"] for group in optimizer.param_groups]
            assert found == pytest.approx(rows[t], rel=1e-6), t
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_an_unknown_experiment_lists_the_known_ones():
    with pytest.raises(InputError, match="no experiment 99: choose from 0, 1, .*, night-demo;"):
        generate_experiment_cfgs(99)


def test_the_seed_is_in_name_and_settings():
    config = generate_experiment_cfgs(4, seed=5)[0]
    assert config["randomness"] == {"seed": 5}
    assert config["experiment_name"].endswith("_seed5")
