"""Test the configs of the experiments and compare them with those of the authors' release."""

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from mmengine.optim import LinearLR, PolyLR
from torch.optim import SGD

import experiments
from experiments import (
    EXPERIMENTS,
    METHODS,
    NAMED,
    describe,
    generate_experiment_cfgs,
    load,
)
from mmseg.apis.dry_run import check_together
from mmseg.apis.init_model import without_pretrained
from mmseg.config_check import check_config
from mmseg.engine.parameter_groups import parameter_groups
from mmseg.registry import DATASETS, MODELS
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from mmseg.utils.legacy_config import translate
from run_experiments import without_variables
from tests.golden import DATA, load_golden
from tests.old_configs import BASELINE_INDEX, baseline_config, old_config
from tests.training import written
from tools.rows.foundation import FOUNDATION_MODELS

#: Row -> the release whose experiment it is, and its number there.
RELEASES = {exp: row.release.split() for exp, row in EXPERIMENTS.items() if row.release}


def plain(node: Any) -> Any:
    """Turn tuples into lists, so that both compare equal."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list | tuple) else node


def resolved(exp: int | str, folder: Path, bases: Path) -> dict:
    """Return the settings of an experiment's only run, with its bases in ``bases`` merged in."""
    (config,) = generate_experiment_cfgs(exp)
    config["_base_"] = [
        str(bases / Path(p).relative_to(experiments.BASES)) for p in config["_base_"]
    ]
    cfg = load_config(written(config, folder))
    return plain(without_variables(cfg).to_dict())


def settings(node: Any, path: str = "") -> dict[str, Any]:
    """Return all values of a config by dotted path."""
    if isinstance(node, dict) and node:
        children = node.items()
    elif isinstance(node, list) and any(isinstance(child, dict) for child in node):
        children = enumerate(node)
    else:
        return {path[1:]: node}
    return {k: v for key, child in children for k, v in settings(child, f"{path}.{key}").items()}


class Resolved(NamedTuple):
    """An experiment of one run: its config file, and the settings of that, bases included."""

    exp: int | str
    path: Path
    settings: dict


@pytest.fixture(scope="module")
def one_run(request, tmp_path_factory) -> Resolved:
    """Resolve the experiment that is the parameter once for all of its tests."""
    (config,) = generate_experiment_cfgs(request.param)
    path = written(config, tmp_path_factory.mktemp("resolved"))
    return Resolved(request.param, path, plain(without_variables(load_config(path)).to_dict()))


@pytest.mark.parametrize("one_run", range(1, 19), indirect=True)
def test_every_setting_equals_the_recorded_one(one_run):
    """The record lists the settings that all experiments share, and the others by experiment."""
    recorded = json.loads((DATA / "resolved_configs.json").read_text())
    assert settings(one_run.settings) == recorded["all"] | recorded[str(one_run.exp)]


@pytest.mark.parametrize(
    ("file", "path", "value", "exps"),
    [
        ("uda/sepico.py", "model.pseudo_threshold", 0.5, (1, 8)),
        ("uda/sepico.py", "model.contrast.temperature", 50.0, (2, 18)),
        ("schedules/adamw.py", "optim_wrapper.optimizer.lr", 1e-4, (1, 7)),
        ("default_runtime.py", "default_hooks.checkpoint.interval", 500, (4, 12)),
        ("models/daformer_sepaspp_mitb5.py", "segmentor.decode_head.channels", 128, (4, 8)),
        (
            "datasets/uda_gta_to_cityscapes_640x640.py",
            "train_dataloader.dataset.rare_class_sampling.class_temp",
            0.1,
            (1, 7, 9),
        ),
    ],
)
def test_a_value_of_a_base_file_changes_experiments(file, path, value, exps, tmp_path):
    bases = Path(shutil.copytree(experiments.BASES, tmp_path / "_base_"))
    base = bases / file
    name, *keys = path.split(".")
    base.write_text(f"{base.read_text()}{name}{''.join(f'[{key!r}]' for key in keys)} = {value}\n")
    for exp in exps:
        found = settings(resolved(exp, tmp_path, bases))
        assert found[f"model.{path}" if path.startswith("segmentor") else path] == value


@pytest.mark.parametrize("one_run", range(1, 19), indirect=True)
def test_every_setting_equals_the_release(one_run):
    """Our settings equal the translated ones; tests/utils/legacy_config tests the translation."""
    found = copy.deepcopy(one_run.settings)
    translated, unknown = translate(old_config(one_run.exp))
    expected = plain(translated)
    assert unknown == []
    # The release computes it from the training weights; here it is rounded to float32.
    weights = [each["model"]["segmentor"]["test_cfg"] for each in (found, expected)]
    weights = [test_cfg.pop("class_weight", None) for test_cfg in weights]
    assert weights[0] == pytest.approx(weights[1], abs=1e-6)
    # Our configs leave out the default of the data set's class.
    target = found["train_dataloader"]["dataset"]["target"]
    target["ignored_edges"] = list(DATASETS.get(target["type"]).IGNORED_EDGES)
    assert (weights[0] is not None) == (found["model"]["type"] == "SePiCoDark")
    assert found == expected


@pytest.mark.parametrize("one_run", RELEASES, indirect=True)
def test_every_setting_of_a_row_equals_its_release(one_run):
    found = copy.deepcopy(one_run.settings)
    release, number = RELEASES[one_run.exp]
    # The number of the experiment differs, and so may that of processes that load data, which
    # changes no result: the configs of HRDA's and MIC's releases have 1, to save memory.
    numbers = {"exp": int(number)}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        numbers[f"{loader}.num_workers"] = 4 if release == "DAFormer" else 1
    about = {"release": release, "exp": int(number), "name": found["experiment_name"], "seed": 0}
    (file,) = (file for file, each in BASELINE_INDEX.items() if each == about)
    translated, reasons = translate(baseline_config(file.removesuffix(".json")))
    assert reasons == []
    # Our configs leave out what a data set's class says itself.
    target = found["train_dataloader"]["dataset"]["target"]
    target.setdefault("ignored_edges", list(DATASETS.get(target["type"]).IGNORED_EDGES))
    expected = settings(plain(translated))
    assert numbers.items() <= expected.items()
    assert settings(found) | numbers == expected


def test_runs_have_the_names_of_the_releases():
    names = load_golden("baselines/experiment_names.json")
    for exp, (release, number) in RELEASES.items():
        (config,) = generate_experiment_cfgs(exp, seed=2)
        assert config["experiment_name"].endswith("_s2")
        assert config["experiment_name"] in names[release][number]


ONE_RUN = [exp for exp, row in EXPERIMENTS.items() if not row.stages]


@pytest.mark.parametrize("one_run", ONE_RUN, indirect=True)
def test_configs_pass_the_check_and_say_how_to_run_them(one_run):
    exp = one_run.exp
    head = f"# {describe(exp)}\n# python run_experiments.py --exp {exp}\n"
    assert one_run.path.read_text().startswith(head)
    check_config(load_config(one_run.path))


@pytest.mark.parametrize(("one_run", "max_iters"), [(1, 40000), (7, 60000)], indirect=["one_run"])
def test_learning_rate_equals_the_release(one_run, max_iters):
    golden = load_golden("learning_rate.json")
    rows = {t: (base, head) for t, base, head in golden[str(max_iters)]}
    base = golden["base_lr"]
    weights = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    groups = [{"params": [weights[0]], "lr": base}, {"params": [weights[1]], "lr": 10 * base}]
    optimizer = SGD(groups, lr=base)
    kinds = {"PolyLR": PolyLR, "LinearLR": LinearLR}
    schedulers = [
        kinds[config.pop("type")](optimizer, **config)
        for config in copy.deepcopy(one_run.settings["param_scheduler"])
    ]
    optimizer.step()  # schedulers expect it before their first step
    for t in range(max_iters):
        if t in rows:
            found = [group["lr"] for group in optimizer.param_groups]
            assert found == pytest.approx(rows[t], rel=1e-6), t
        for scheduler in schedulers:
            scheduler.step()


def test_an_unknown_experiment_lists_the_known_ones():
    with pytest.raises(InputError, match="no experiment 99: choose from 0, 1, .*, vit-demo, or"):
        generate_experiment_cfgs(99)
    near = "no experiment sepico-dino-l-gta2cs .such as sepico-dinov3-l-gta2cs, "
    with pytest.raises(InputError, match=near):
        generate_experiment_cfgs("sepico-dino-l-gta2cs")


# Each method, backbone and task with each crop at least once.
FOUNDATION_ROWS = list(NAMED)[::13]


def test_there_is_a_row_for_each_of_its_parts():
    assert len(NAMED) == 3 * 6 * 4 * 2
    found = [set(names) for names in zip(*(NAMED[exp] for exp in FOUNDATION_ROWS), strict=True)]
    assert [len(names) for names in found] == [3, 6, 4, 2]


@pytest.mark.parametrize("exp", FOUNDATION_ROWS)
def test_rows_of_foundation_models(exp, tmp_path):
    method, backbone, task, crop = NAMED[exp]
    (config,) = generate_experiment_cfgs(exp)
    cfg = load_config(written(config, tmp_path))
    check_config(cfg)
    check_together(cfg)
    assert backbone in config["experiment_name"]
    night = method == "sepico" and task == "cs2dz"
    types = {"sepico": "SePiCoDark" if night else "SePiCo", "daformer": "DACS", "mic": "DACS"}
    assert cfg.model.type == types[method]
    assert cfg.model.alpha == 0.999
    terms = cfg.model.get("terms", {})
    assert "feature_distance" not in terms
    mode = "separatetrgaug" if task in ("gta2cs", "syn2cs") else "separate"
    assert [(term.block_size, term.mask_mode) for term in terms.values()] == (
        [(crop // 16, mode)] if method == "mic" else []
    )
    segmentor = cfg.model.segmentor
    model_name = FOUNDATION_MODELS[backbone].name
    assert segmentor.backbone.model_name == model_name
    assert segmentor.backbone.init_cfg.checkpoint == f"pretrained/{model_name}.pth"
    assert ("auxiliary_head" in segmentor) == (method == "sepico")
    assert segmentor.test_cfg.crop_size == (crop, crop)
    assert segmentor.test_cfg.stride == (crop // 2, crop // 2)
    data = cfg.train_dataloader.dataset
    for domain in (data.source, data.target):
        (crops,) = [step.crop_size for step in domain.pipeline if step.type == "RandomCrop"]
        assert crops == (crop, crop)
        (scale,) = [step.scale for step in domain.pipeline if step.type == "Resize"]
        assert min(scale) >= 1024
    assert bool(data.target.get("corresp")) == night
    # The share of the crop that 6000 pixels are of 1024x1024.
    pixels = data.rare_class_sampling.min_pixels * data.rare_class_sampling.min_crop_ratio
    assert pixels == pytest.approx({640: 2400, 1024: 6000}[crop])
    assert cfg.performance.precision == "bf16"
    assert cfg.optim_wrapper.optimizer.lr == (3e-6 if backbone.endswith("-l") else 7e-6)
    mean = 122.77 if backbone.startswith("eva02") else 123.675
    assert cfg.model.data_preprocessor.mean[0] == mean


@pytest.mark.parametrize(
    ("exp", "last", "embedding"),
    [
        ("sepico-dinov2-b-gta2cs", "timm_model.blocks.11.", "timm_model.patch_embed."),
        ("sepico-dinov3-convnext-b-gta2cs", "timm_model.stages_3.blocks.2.", "timm_model.stem_0."),
    ],
)
def test_learning_rates_of_foundation_models(exp, last, embedding, tmp_path):
    cfg = load_config(written(generate_experiment_cfgs(exp)[0], tmp_path))
    with torch.device("meta"):
        student = MODELS.build(without_pretrained(cfg.model)).model
    settings = cfg.optim_wrapper.paramwise_cfg
    groups = parameter_groups(student, 7e-6, 0.01, settings.custom_keys, settings.layer_decay)
    ids = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    found = {name: ids[id(parameter)] for name, parameter in student.named_parameters()}
    blocks = {re.match(r".*blocks\.\d+\.", name)[0] for name in found if ".blocks." in name}
    for name, (lr, decay) in found.items():
        if "_head." in name:
            assert (lr, decay) == (pytest.approx(7e-5), 0.01), name
            continue
        short = name.removeprefix("backbone.")
        matrix = student.get_parameter(name).ndim > 1 and not short.endswith(("embed", "token"))
        assert decay == (0.01 if matrix else 0.0), name
        if short.startswith(last):
            assert lr == pytest.approx(7e-6 * 0.9)
        elif short.startswith(embedding):
            assert lr == pytest.approx(7e-6 * 0.9 ** (len(blocks) + 1))


@pytest.mark.parametrize(
    ("exp", "names"),
    [
        (0, ["source_only", "dacs", "dacs+mic", "daformer", "mic", "sepico", "sepico+mic"]),
        ("synthia-demo", ["mic"]),
        ("night-demo", ["dacs", "daformer", "sepico_dark", "sepico_dark+mic"]),
    ],
)
def test_a_demo_compares_the_methods_that_are_named(exp, names, tmp_path):
    pretraining, *runs = generate_experiment_cfgs(exp, 3, names)
    assert pretraining["experiment_name"].endswith("_seed3_pretraining")
    assert [run["start_from"] for run in runs] == [0] * len(names)
    assert [run["title"] for run in runs] == [METHODS[name].title for name in names]
    assert len({run["experiment_name"] for run in runs}) == len(names)
    segmentor = load(pretraining).model.segmentor
    for name, run in zip(names, runs, strict=True):
        cfg = load_config(written(run, tmp_path))
        check_config(cfg)
        assert cfg.model.segmentor == segmentor
        assert cfg.randomness == {"seed": 3}
        if name == "source_only":
            continue
        assert (cfg.model.alpha, cfg.model.pseudo_threshold) == (0.99, 0.9)
        target = cfg.train_dataloader.dataset.target
        crops = [step.type for step in target.pipeline].count("RandomCrop")
        assert crops == (not name.startswith("sepico"))
        assert bool(target.get("corresp")) == name.startswith("sepico_dark")
        blocks = cfg.model.get("terms", {}).get("mic", {}).get("block_size")
        assert blocks == (8 if "mic" in name else None)


@pytest.mark.parametrize(
    ("exp", "names", "message"),
    [
        (0, ["dacs", "hrda"], "experiment 0 has no method 'hrda' to compare: choose from .*sepico"),
        (0, ["sepico_dark"], "no method 'sepico_dark'"),
        ("night-demo", ["sepico"], "choose from source_only, sepico_dark, sepico_dark.mic, dacs, "),
        (0, ["mic", "dacs", "mic"], "the method 'mic' is given twice"),
        (1, ["dacs"], "only demos compare methods, not experiment 1: choose from 0, synthia-demo"),
    ],
)
def test_methods_that_a_demo_cannot_compare(exp, names, message):
    with pytest.raises(InputError, match=message):
        generate_experiment_cfgs(exp, methods=names)


def test_the_seed_is_in_name_and_settings():
    config = generate_experiment_cfgs(4, seed=5)[0]
    assert config["randomness"] == {"seed": 5}
    assert config["experiment_name"].endswith("_seed5")


@pytest.mark.parametrize("exp", [exp for exp, row in EXPERIMENTS.items() if row.stages])
def test_parts_of_demos_fit_together(exp):
    for config in generate_experiment_cfgs(exp):
        cfg = load(config)
        check_config(cfg)
        check_together(cfg)
