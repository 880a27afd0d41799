import json

import pytest

from tests.tools.analysis.test_visualize_features import features_world
from tests.tools.failing import error_of
from tools import visualize_features as tool


@pytest.fixture
def arguments(tmp_path) -> list[str]:
    """Return config, checkpoint and ``--out``; the target data of the config do not exist."""
    cfg = features_world(tmp_path)
    cfg.val_dataloader.dataset.data_root = "/nowhere"
    cfg.dump(tmp_path / "config.py")
    out = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    return [str(tmp_path / "config.py"), str(tmp_path / "best.pth"), *out]


def test_the_table_is_printed(arguments, tmp_path, capsys):
    options = ["--what", "pdd", "--images", "1", "--seed", "4"]
    options += ["--cfg-options", f"val_dataloader.dataset.data_root={tmp_path}"]
    tool.main([*arguments, *options])
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["pdd.json", "pdd.png"]
    result = json.loads((out / "pdd.json").read_text())
    assert (result["model"], result["seed"], result["checkpoint"]) == ("student", 4, arguments[1])
    assert result["images"] == {"source": 1, "target": 1}
    lines = capsys.readouterr().out.splitlines()
    red = [f"{result['pdd'][domain]['red']:.4f}" for domain in ("source", "target")]
    assert lines[2].split() == ["red", *red]
    assert lines[-1] == f"wrote {out}"


def test_a_mistake_is_one_line(arguments, tmp_path):
    assert error_of(tool.main, *arguments, "--pixels", "0") == "--pixels must be at least 1, not 0"
    (tmp_path / "config.py").write_text("model = dict(type='SePiCo')")
    error = error_of(tool.main, *arguments)
    assert error.startswith("the config has no train_dataloader.dataset.source with labels")
