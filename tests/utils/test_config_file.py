"""Check that errors in config files are reported in one line and without delay."""

import json
import time

import numpy as np
import pytest

from mmseg.registry import TRANSFORMS
from mmseg.utils import InputError
from mmseg.utils.config import load_config


@pytest.mark.parametrize(
    ("files", "cycle"),
    [
        ({"c.py": '_base_ = "c.py"'}, "c.py -> c.py"),
        ({"c.py": '_base_ = ["./a.py"]', "a.py": '_base_ = ["c.py"]'}, "c.py -> a.py -> c.py"),
        ({"c.py": "with read_base():\n    from .c import *"}, "c.py -> c.py"),
        (
            {"c.json": '{"_base_": "a.yaml"}', "a.yaml": "_base_: c.json"},
            "c.json -> a.yaml -> c.json",
        ),
        (
            {"c.py": '_base_ = "a.json"', "a.json": '{"_base_": ["a.json"]}'},
            "c.py -> a.json -> a.json",
        ),
    ],
)
def test_cycles_of_bases_are_refused(tmp_path, monkeypatch, files, cycle):
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    started = time.monotonic()
    with pytest.raises(
        InputError, match=f"^c.* cannot be read: _base_ leads in a circle: {cycle}$"
    ):
        load_config(next(iter(files)))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", b"", "it is empty"),
        ("c.yaml", b" \n", "it is empty"),
        ("c.json", b"[1, 2]", "it holds a list, not settings by name"),
        ("c.yaml", b"- 1", "it holds a list, not settings by name"),
        ("c.json", b"{", "JSONDecodeError: Expecting property name"),
        ("c.json", b'{"a": "\xff"}', r"it is not UTF-8 text \(byte 7\)"),
        ("c.py", b"a = 1 # \xe9", r"it is not UTF-8 text \(byte 8\)"),
        ("c.py", b"a = (", "SyntaxError"),
        ("c.py", b"a = 1\0", "SyntaxError|ValueError"),
        ("c.py", b"filename = 1", "filename is reserved"),
        ("c.json", b'{"text": 1}', "text is reserved"),
        ("c.txt", b"a = 1", "a config is a .py, .json, .yaml or .yml file"),
        ("c.json", b" " * (3 << 20), "it has 3 MiB, a config has 2 at most"),
        ("c.py", b"#" * (3 << 20), "it has 3 MiB, a config has 2 at most"),
        ("c.json", b"[" * 100_000, "RecursionError"),
        ("c.json", b'{"a":' * 51 + b"1" + b"}" * 51, "more than 50 levels of dicts and lists"),
        ("c.py", b'_base_ = "no.py"', "there is no config at no.py"),
        ("c.py", b'_base_ = "no.json"', "there is no config at no.json"),
        ("c.json", b'{"_base_": ["no.json"]}', "there is no config at no.json"),
        ("c.py", b"with read_base():\n    from .no import *", "there is no config at .*no.py"),
        ("c.py", b'_base_ = "folder.py"', "there is no config at folder.py, which is a folder"),
    ],
)
def test_files_that_are_not_configs_are_refused(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"^{name} cannot be read: .*{message}") as error:
        load_config(name)
    assert "\n" not in str(error.value)


def test_folders_and_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=f"^no config at {tmp_path}, which is a folder$"):
        load_config(tmp_path)
    with pytest.raises(InputError, match=f"^no config at {tmp_path}/c.json$"):
        load_config(tmp_path / "c.json")


def test_too_many_levels_of_bases_are_refused(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.json").write_text(json.dumps({"_base_": f"{i + 1}.json"}))
        (tmp_path / f"w{i}.py").write_text(f"_base_ = ['w{i + 1}.py', './w{i + 1}.py']\n")
    with pytest.raises(InputError, match="0.json cannot be read: more than 32 levels of _base_"):
        load_config(tmp_path / "0.json")
    with pytest.raises(InputError, match="w0.py cannot be read: more than 32 levels of _base_"):
        load_config(tmp_path / "w0.py")


def test_aliases_that_expand_too_far_are_refused(tmp_path):
    """Eight levels of nine aliases each would be 43 million values."""
    levels = ["a0: &a0 [1]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)
    ]
    (tmp_path / "c.yaml").write_text("\n".join(levels))
    with pytest.raises(InputError, match="more than 500000 values"):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("suffix", [".py", ".json", ".yaml"])
def test_a_size_may_be_a_list(tmp_path, suffix):
    settings = {
        "resize": {"type": "Resize", "scale": [32, 24]},
        "flip": {
            "type": "RandomFlip",
            "prob": [0.5, 0.25],
            "direction": ["horizontal", "vertical"],
        },
        "listed": ([{"crop_size": [4, 6]}], [[1, 2], [3, 4]], ["a", 1]),
        "metainfo": {"palette": [[1, 2, 3]]},
    }
    as_data = json.dumps(settings)
    text = "\n".join(f"{k} = {v!r}" for k, v in settings.items()) if suffix == ".py" else as_data
    (tmp_path / f"c{suffix}").write_text(text)
    cfg = load_config(tmp_path / f"c{suffix}")
    assert TRANSFORMS.build(cfg.resize)({"img": np.zeros((48, 64, 3))})["img"].shape == (24, 32, 3)
    assert TRANSFORMS.build(cfg.flip).prob == [0.5, 0.25]
    assert list(cfg.listed) == [[{"crop_size": (4, 6)}], [(1, 2), (3, 4)], ["a", 1]]
    assert cfg.metainfo == {"palette": [[1, 2, 3]]}
