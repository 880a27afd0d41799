"""The command line that counts parameters and FLOPs."""

import json

import pytest

from tests.models.networks import tiny
from tests.tools.failing import error_of
from tools import get_param_count


def test_config(tmp_path, capsys):
    (tmp_path / "c.json").write_text(json.dumps({"model": tiny()}))
    get_param_count.main([str(tmp_path / "c.json"), "--shape", "32", "64"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["backbone", "176,736", "0.07"]
    assert "one image of 32x64" in "".join(lines)


@pytest.mark.parametrize(
    ("exp", "millions"), [("4", 81.44), ("night-demo", 2.80), ("sepico-dinov3-l-cs2dz", 303.08)]
)
def test_experiment(capsys, exp, millions):
    get_param_count.main(["--exp", exp, "--shape", "64", "64"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:5]] == [
        "backbone",
        "decode head",
        "projection head",
    ]
    count = int(lines[2].split()[1].replace(",", ""))
    assert count / 1e6 == pytest.approx(millions, abs=0.005)


def test_all_experiments_in_one_table(capsys):
    get_param_count.main(["--all", "--shape", "64", "64"])
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: float(line.split()[-2]) for line in lines[2:12]}
    assert found == {
        "daformer_sepaspp_proj_r18v1c_toy": 2.94,
        "dlv2_proj_r101v1c": 49.17,
        "daformer_sepaspp_proj_mitb5": 85.55,
        "dlv2red_r101v1c": 43.22,
        "daformer_sepaspp_mitb5": 85.16,
        "hrda_daformer_sepaspp_mitb5": 85.69,
        "hrda_dlv2red_r101v1c": 43.92,
        "hrda_daformer_sepaspp_proj_mitb5": 86.08,
        "daformer_sepaspp_timm": 308.87,
        "daformer_sepaspp_proj_vit_toy": 1.76,
    }
    assert lines[3].startswith("dlv2_proj_r101v1c (1, 2, 3, 7, 9, 10, 11, 15, 16)  ")


def test_mistakes(tmp_path):
    (tmp_path / "c.json").write_text('{"a": 1}')
    main = get_param_count.main
    assert error_of(main, tmp_path / "c.json") == f"{tmp_path / 'c.json'} has no model"
    assert error_of(main, tmp_path / "d.json") == f"no config at {tmp_path / 'd.json'}"
    assert error_of(main, "--exp", "99").startswith("there is no experiment 99: choose from 0, ")
    message = error_of(main, "--exp", "0", "--shape", "0", "64")
    assert message == "--shape 0 64: height and width must be positive"
