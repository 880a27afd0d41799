"""Train with ``--log``, and read back what Weights & Biases and MLflow have got."""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook

from mmseg.registry import HOOKS
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from tests.campaigns.kills import fastest_config
from tests.tools.failing import train_error
from tools import train as train_tool
from tools.analysis.logs import read_run

LOG_BLOCK = 32768  # W&B's files are logs of LevelDB
SERVICES = ("--log", "wandb", "mlflow", "tensorboard")


@HOOKS.register_module()
class FailingHook(Hook):
    """End training with an error before an iteration."""

    def __init__(self, at: int) -> None:
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.at:
            raise InputError("the power is gone")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Keep both services from the network."""
    for name in ("WANDB_API_KEY", "WANDB_PROJECT", "WANDB_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


def records(path: Path) -> Iterator[Any]:
    """Yield what W&B would send to its server."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        room = LOG_BLOCK - place % LOG_BLOCK
        if room < 7:
            place += room
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(parts)
            parts = b""


def history(found: list[Any]) -> list[dict[str, Any]]:
    """Return the rows of values that W&B has got."""
    rows = [record.history.item for record in found if record.HasField("history")]
    return [{"/".join(i.nested_key): json.loads(i.value_json) for i in row} for row in rows]


def test_scores_panels_and_settings_arrive(toy_root, tmp_path):
    from mlflow import MlflowClient

    cfg = fastest_config(toy_root, tmp_path)
    cfg.train_cfg.update(max_iters=2, val_interval=1)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.default_hooks.logger.interval = cfg.default_hooks.runtime_info.interval = 1
    cfg.custom_hooks = [{"type": "FailingHook", "at": 2}]
    cfg.custom_imports = {"imports": [__name__]}
    cfg.pop("work_dir")
    settings = cfg.to_dict().items()
    (tmp_path / "mine.py").write_text("".join(f"{key} = {value!r}\n" for key, value in settings))
    run = tmp_path / "a run (1)"
    start = [str(tmp_path / "mine.py"), "--work-dir", str(run), "--device", "cpu"]
    with pytest.raises(InputError, match="the power is gone"):
        train_tool.main([*start, *SERVICES, "--cfg-options", "experiment_name=first"])
    client = MlflowClient((run / "mlruns").as_uri())
    (project,) = client.search_experiments(filter_string="name = 'sepico-mmseg'")
    (logged,) = client.search_runs([project.experiment_id])
    assert (logged.info.run_name, logged.info.status) == ("first", "FAILED")

    more = ["experiment_name=second", "custom_hooks.0.at=9"]
    train_tool.main([*start, "--resume", "--cfg-options", *more])
    curves = read_run(run)
    (logged,) = client.search_runs([project.experiment_id])
    run_id = logged.info.run_id
    assert (logged.info.status, logged.data.params["randomness.seed"]) == ("FINISHED", "3")
    names = ("mIoU", "teacher/mIoU", "lr", "src.decode.loss_seg")
    for name in names:
        found = [(each.step, each.value) for each in client.get_metric_history(run_id, name)]
        assert found == list(zip(*curves[name], strict=True)), name
    table = min(run.glob("2*/*.log")).read_text()
    road = next(line.split()[1:] for line in table.splitlines() if line.startswith("road "))
    iou = [client.get_metric_history(run_id, f"{prefix}IoU/road")[0] for prefix in ("", "teacher/")]
    assert [(each.step, f"{each.value:.2f}") for each in iou] == [(1, each) for each in road]
    panels = {path.name for path in run.glob("mlruns/*/*/artifacts/images/*.png")}
    assert {name.split("+time")[0] for name in panels} == {"panel_0+step+1", "panel_1+step+1"}
    stored = load_config(run / "mine.py")
    config = json.loads(Path(next(run.glob("mlruns/*/*/artifacts/config.json"))).read_text())
    assert config["git_rev"] == stored.git_rev
    assert config["model"] == json.loads(json.dumps(stored.model))  # tuples as lists

    starts = [list(records(path)) for path in sorted(run.glob("wandb/offline-run-*/*.wandb"))]
    runs = [record.run for start in starts for record in start if record.HasField("run")]
    assert {(each.run_id, each.project) for each in runs} == {(runs[0].run_id, "sepico-mmseg")}
    assert runs[0].display_name == "first"
    exits = [
        record.exit.exit_code for start in starts for record in start if record.HasField("exit")
    ]
    assert exits == [1, 0]
    rows = [row for start in starts for row in history(start)]
    for name in names:
        found = [(row["iteration"], row[name]) for row in rows if name in row]
        assert found == list(zip(*curves[name], strict=True)), name
    assert [row["iteration"] for row in rows if "IoU/road" in row] == [1, 2]
    assert [row["iteration"] for row in rows if "panel_0/path" in row] == [1]


def test_what_services_lack_is_one_line(toy_root, tmp_path, monkeypatch):
    cfg = fastest_config(toy_root, tmp_path)
    cfg.pop("work_dir")
    cfg.dump(tmp_path / "c.json")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert train_error(tmp_path / "c.json", "--log", "wandb").startswith(
        "cannot log to Weights & Biases: No API key configured"
    )
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    assert train_error(tmp_path / "c.json", "--log", "mlflow") == (
        "--log mlflow needs a package: pip install mlflow-skinny"
    )
