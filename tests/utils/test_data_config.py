"""Check that a stranger's ``.json`` or ``.yaml`` config runs no code, whichever tool reads it."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

import run_experiments
from mmseg.apis import init_model
from mmseg.utils import InputError
from mmseg.utils.config import load_config, store_config
from tests.registered import names_of_types, registered
from tests.tools.failing import error_of
from tools import (
    benchmark,
    class_stats,
    get_param_count,
    predict,
    submit,
    visualize_features,
)
from tools import test as test_tool
from tools import train as train_tool


@pytest.fixture
def ran(tmp_path, monkeypatch) -> Path:
    """Return a file that exists once ``planted`` is imported or COMMAND is run."""
    (tmp_path / "planted").mkdir()
    touch = "from pathlib import Path; Path('ran').touch()\n"
    for name in ("__init__", "registry", "configs"):
        (tmp_path / "planted" / f"{name}.py").write_text(touch)
    (tmp_path / "program.py").write_text(touch)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


COMMAND = {"type": "os.system", "command": "touch ran"}
IN_A_MODEL = {
    "head": {"decode_head": COMMAND},
    "layer": {"backbone": {"norm_cfg": {"type": "planted.Norm"}}},
    "initialization": {"init_cfg": [{"type": "Normal", "override": {"type": "planted.Init"}}]},
    "padding": {"type": "ConvModule", "padding_mode": "planted.Pad"},
    "module": {"type": "planted"},
    "scope": {"type": "SePiCo", "_scope_": "planted"},
    "scope in a name": {"type": "planted.SePiCo"},
    "own path": {"type": "mmengine.fileio.load", "file": "x.pkl"},
    "listed": [[{"model": [COMMAND]}]],
}
IN_A_LOADER = {
    "dataset": {"dataset": COMMAND},
    "pipeline": {"dataset": {"pipeline": [{"type": "planted.Load"}]}},
    "resize": {"dataset": {"pipeline": [{"type": "RandomResize", "resize_type": "planted.R"}]}},
    "sampler": {"sampler": COMMAND},
    "batch_sampler": {"batch_sampler": COMMAND},
    "collate_fn": {"collate_fn": COMMAND},
    "collate_fn by name": {"collate_fn": "os.system"},
    "worker_init_fn": {"worker_init_fn": {"type": "planted.start"}},
}
ELSEWHERE = {
    "imports": {"custom_imports": {"imports": ["planted"]}},
    "scope": {"default_scope": "planted"},
    "constructor": {"optim_wrapper": {"constructor": "os.system"}},
    "optimizer": {"optim_wrapper": {"optimizer": {"type": "planted.SGD", "lr": 1}}},
    "hook": {"custom_hooks": [COMMAND]},
    "average": {"custom_hooks": [{"type": "EMAHook", "ema_type": "planted.Mean"}]},
    "evaluated string": {"custom_hooks": [{"type": "RFSearchHook", "config": {}}]},
    "in its scope": {"custom_hooks": [{"type": "mmengine.RFSearchHook", "config": {}}]},
    "command of a backend": {"visualizer": {"vis_backends": [{"type": "DVCLiveVisBackend"}]}},
    "wrapper": {"model_wrapper_cfg": {"type": "DataParallel", "auto_wrap_policy": "os.system"}},
    "variable": {"mine": {"type": "planted.Mine"}},
}


@pytest.mark.parametrize(
    "content",
    [
        *({"model": part} for part in IN_A_MODEL.values()),
        *({"test_dataloader": part} for part in IN_A_LOADER.values()),
        *ELSEWHERE.values(),
    ],
    ids=[*IN_A_MODEL, *IN_A_LOADER, *ELSEWHERE],
)
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_only_registered_names_are_allowed(ran, content, suffix):
    path = Path(f"c{suffix}")
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"^c{suffix}: .*: (only a .py config|did you mean)"):
        load_config(path)
    # the same holds for the command line and for a .py config that is based on it
    Path("empty.json").write_text("{}")
    (key, value) = next(iter(content.items()))
    with pytest.raises(InputError, match=r"^empty.json: "):
        load_config("empty.json", {key: value})
    Path("c.py").write_text(f'_base_ = "c{suffix}"')
    with pytest.raises(InputError, match=rf"^c{suffix}: "):
        load_config("c.py")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config_save_file", "/etc/profile"),
        ("scalar_save_file", "../../../.bashrc"),
        ("filename_tmpl", "/tmp/{}.pth"),
        ("save_dir", "."),
    ],
)
def test_files_are_written_to_the_folder_of_the_run(tmp_path, name, value):
    (tmp_path / "c.json").write_text(json.dumps({"visualizer": [{name: value}]}))
    with pytest.raises(InputError, match=rf"visualizer\[0\].{name} is .* folder of the run: only"):
        load_config(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".json", '{"_base_": "program.py"}', "its _base_ 'program.py' is not a .json, .yaml or"),
        (".json", '{"_base_": ["base.json", "program.py"]}', "its _base_ 'program.py' is not a"),
        (".json", '{"_base_": "planted::configs.json"}', "its _base_ 'planted::configs.json'"),
        (".json", '{"_base_": 3}', "its _base_ 3 is not a .json"),
        (".json", '{"a": ["{{$HOME:x}}"]}', r"a\[0\] is '{{\$HOME:x}}': only .py configs have {{"),
        (".json", '{"a": "{{ fileDirname }}"}', "only .py configs have {{templates}}"),
        (
            ".json",
            '{"a": {"b\': __import__(\'os\') #": 1}}',
            "a has a key .* not a name of a setting",
        ),
        (".yaml", "a: !!python/object/apply:os.system ['touch ran']", "YAML tags are not allowed"),
        (".yaml", "a: !!python/name:os.system", "YAML tags are not allowed"),
        (".yml", "a: !!python/module:planted", "YAML tags are not allowed"),
        (".yaml", "a: 2020-01-01", "a is a date: write it as a string"),
        (".yaml", "1: 2", "it has a key 1, which is not a name of a setting"),
        (".yaml", "a: &a [*a]", "more than 50 levels"),
        (".yaml", "a: [", "ParserError"),
    ],
)
def test_only_data_is_allowed(ran, suffix, text, message):
    Path("base.json").write_text("{}")
    Path(f"c{suffix}").write_text(text)
    with pytest.raises(InputError, match=f"^c{suffix} cannot be read: .*{message}"):
        load_config(f"c{suffix}")
    assert not ran.exists()


ENTRY_POINTS = {
    "train": (train_tool.main, ["c.json"]),
    "test": (test_tool.main, ["c.json", "x.pth", "--eval", "mIoU"]),
    "another data set": (
        test_tool.main,
        ["good.py", "x.pth", "--eval", "mIoU", "--dataset", "c.json"],
    ),
    "predict": (predict.main, ["c.json", "x.pth", "x.png", "--out", "out"]),
    "submit": (submit.main, ["acdc", "c.json", "x.pth", "x.zip"]),
    "print": (run_experiments.main, ["--config", "c.json", "--dry-run"]),
    "statistics": (class_stats.main, ["--config", "c.json"]),
    "parameters": (get_param_count.main, ["c.json"]),
    "features": (visualize_features.main, ["c.json", "x.pth", "--out", "x.png"]),
    "benchmark": (benchmark.main, ["--config", "c.json"]),
    "run": (run_experiments.main, ["--config", "c.json"]),
}


@pytest.mark.parametrize(("main", "arguments"), ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_no_tool_runs_the_command(ran, main, arguments):
    Path("c.json").write_text(json.dumps({"model": COMMAND, "test_dataloader": COMMAND}))
    Path("good.py").write_text("model = dict(); test_dataloader = dict(dataset=dict())")
    assert "'os.system', which is not registered" in error_of(main, *arguments)
    assert not ran.exists()


def test_init_model_does_not_run_the_command(ran):
    Path("c.json").write_text(json.dumps({"model": COMMAND}))
    with pytest.raises(InputError, match="model.type is 'os.system', which is not registered"):
        init_model("c.json", "x.pth")
    assert not ran.exists()


def test_options_of_an_experiment_are_checked_as_data(ran):
    options = ["--exp", "1", "--dry-run", "--cfg-options", "optim_wrapper.constructor=os.system"]
    assert "constructor is 'os.system', which is" in error_of(run_experiments.main, *options)


# Settings that take a word, although they look as if they named a class.
WORDS = {"attention_type", "cast_model_type", "color_type", "interpolation", "mode", "pooling_type"}


def test_every_setting_that_names_a_class_is_checked(tmp_path):
    """Settings that name a class end in ``_type`` or have a registered name as their default."""
    names = names_of_types()
    settings = {
        name
        for each in registered()
        for name, parameter in each.parameters.items()
        if name.endswith("_type")
        or (isinstance(parameter.default, str) and parameter.default in names)
    }
    assert {"ema_type", "optimizer_type", "resize_type"} <= settings
    for name in settings - WORDS:
        (tmp_path / "c.json").write_text(json.dumps({"a": {name: "planted.Thing"}}))
        with pytest.raises(InputError, match=f"a.{name} is 'planted.Thing'"):
            load_config(tmp_path / "c.json")


def test_names_of_registered_classes_are_accepted(tmp_path):
    content = {
        "default_scope": "mmseg",
        "model": {"type": "mmseg.SePiCo", "prototypes": {"padding_mode": "zeros"}},
        "custom_hooks": [{"type": "mmengine.EMAHook", "ema_type": "MomentumAnnealingEMA"}],
        "optim_wrapper": {"constructor": "StudentOptimWrapperConstructor"},
        "train_dataloader": {"collate_fn": {"type": "pseudo_collate"}},
        "visualizer": {"vis_backends": [{"type": "WandbVisBackend"}]},
    }
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert load_config(tmp_path / "c.json").to_dict() == content


def test_a_misspelt_name_gets_a_suggestion(tmp_path):
    (tmp_path / "c.json").write_text('{"model": {"type": "SePiCoo"}}')
    with pytest.raises(InputError, match="'SePiCoo', which is not registered: did you mean 'SePi"):
        load_config(tmp_path / "c.json")


def test_data_is_merged_into_its_bases(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.json").write_text('{"model": {"size": [4, 6], "b": {"c": 1, "d": 2}}}')
    (tmp_path / "sub" / "b.yaml").write_text("_base_: ../a.json\nmodel: {b: {c: 3}}\nx: [1, a]\n")
    (tmp_path / "c.yml").write_text(
        "_base_: [sub/b.yaml]\nmodel: {b: {_delete_: true, e: 5}}\nexp: ''\n"
    )
    expected = {"model": {"size": (4, 6), "b": {"e": 5}}, "x": [1, "a"], "exp": ""}
    assert load_config(tmp_path / "c.yml").to_dict() == expected
    (tmp_path / "d.json").write_text('{"_base_": ["a.json", "c.yml"]}')
    with pytest.raises(InputError, match="d.json cannot be read: two of its _base_ files set mo"):
        load_config(tmp_path / "d.json")


@pytest.mark.parametrize("suffix", [".py", ".json", ".yaml"])
def test_a_stored_config_is_read_as_it_was(tmp_path, suffix):
    settings = {"a": {"size": (4, 6), "pairs": [(1, 2)]}, "b": "text", "c": None, "d": 1e-3}
    store_config(Config(settings), tmp_path / f"c{suffix}")
    assert load_config(tmp_path / f"c{suffix}").to_dict() == settings
