"""Check runs on the source only, and shorter ones, of every experiment."""

import pytest

import run_experiments
from experiments import generate_experiment_cfgs
from mmseg.config_check import check_config
from mmseg.utils import InputError
from mmseg.utils.config import load_config
from tests.tools.failing import error_of
from tests.training import written
from tools.experiments.variants import scale_schedule, train_on_source_only


def config_of(exp, tmp_path):
    return load_config(written(generate_experiment_cfgs(exp)[-1], tmp_path))


@pytest.mark.parametrize("exp", [4, 8, 22, 31])
def test_the_source_alone_with_the_same_settings(exp, tmp_path):
    cfg, before = config_of(exp, tmp_path), config_of(exp, tmp_path)
    train_on_source_only(cfg)
    check_config(cfg)
    assert cfg.train_dataloader.dataset.target is None
    assert cfg.train_dataloader.dataset.source == before.train_dataloader.dataset.source
    assert cfg.model.segmentor == before.model.segmentor
    augments = before.model.get("augment_source_and_target", False)
    assert augments == (exp in (4, 8))  # DAFormer and MIC do not augment the source
    for changed in ("model", "train_dataloader"):
        cfg.pop(changed), before.pop(changed)
    assert cfg.to_dict() == before.to_dict()


def test_a_tenth_of_an_experiment(tmp_path):
    cfg = config_of(4, tmp_path)
    scale_schedule(cfg, 4000)
    check_config(cfg)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (4000, 100)
    assert [scheduler.end for scheduler in cfg.param_scheduler] == [4001, 151]
    assert cfg.model.start_contrast_iter == 300
    intervals = {name: hook.get("interval") for name, hook in cfg.default_hooks.items()}
    assert (intervals["checkpoint"], intervals["panels"], intervals["logger"]) == (100, 100, 50)


def test_options_change_the_printed_config_and_the_folder(capsys, formatted):
    run_experiments.main(["--exp", "1", "--source-only", "--short", "0.05", "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].rpartition("_")[0].endswith("_seed76_source_only_short0.05")
    printed = "\n".join(lines)
    assert "type='SourceOnly'" in printed and "max_iters=2000" in printed


@pytest.mark.parametrize("share", ["0", "1.5", "a", "nan"])
def test_shares_are_checked(share, capsys):
    with pytest.raises(SystemExit):
        run_experiments.main(["--exp", "1", "--short", share])
    message = f"argument --short: expected a share above 0 and at most 1, got {share!r}"
    assert message in capsys.readouterr().err


def test_demos_have_a_baseline(capsys):
    message = error_of(run_experiments.main, "--exp", "0", "--source-only")
    assert message == "--source-only: --exp 0 trains on the source only by itself"


def test_a_segmentor_has_no_source_only_run(tmp_path):
    cfg = config_of(4, tmp_path)
    cfg.model.type = "EncoderDecoder"
    with pytest.raises(InputError, match="this needs a domain-adaptation method"):
        train_on_source_only(cfg)


def test_every_experiment_scales(tmp_path):
    for exp in (0, 8, "night-demo", 31, 43):
        cfg = config_of(exp, tmp_path)
        scale_schedule(cfg, 7)
        check_config(cfg)
        assert max(scheduler.end for scheduler in cfg.param_scheduler) == 8
