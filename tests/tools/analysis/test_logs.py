import json

import numpy as np
import pytest

from mmseg.utils import InputError
from mmseg.utils.work_dir import drop_repeated
from tools.analysis.logs import (
    Curve,
    choose_keys,
    find_runs,
    groups_of_seeds,
    mean_and_spread,
    read_run,
    short_names,
    smooth,
)

NAME = "{}_dlv2_sepico_{}-reg-w1.0_adamw_6e-05_gta2cs_seed{}_{}"


def write_log(run, time, *rows, end=""):
    path = run / time / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + end)
    return path


def training(step, **values):
    return {"lr": 0.1, "time": 1.0, **values, "iter": step, "step": step}


def scores(step, miou):
    return {"mIoU": miou, "data_time": 9.0, "time": 9.0, "step": step}


def points(curve):
    return dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))


def test_a_run_with_lines_of_training_and_of_scores(tmp_path):
    write_log(tmp_path, "20260101_000000", training(10, a=3.0), scores(10, 40.0), training(20, a=2))
    curves = read_run(tmp_path)
    assert {name: points(curve) for name, curve in curves.items()} == {
        "lr": {10: 0.1, 20: 0.1},
        "time": {10: 1.0, 20: 1.0},  # not how long the evaluation took
        "a": {10: 3.0, 20: 2.0},
        "mIoU": {10: 40.0},
    }


def test_logs_of_a_resumed_run_are_joined_and_the_later_wins(tmp_path):
    """A run killed at 40 and resumed from 20 loses the values that it had logged at 30 and 40."""
    lost = [training(30, a=8.0), training(40, a=9.0)]
    write_log(
        tmp_path,
        "20260102_000000",
        training(10, a=1.0),
        training(20, a=2.0),
        scores(20, 5.0),
        *lost,
    )
    write_log(tmp_path, "20260102_000001", scores(20, 5.5), training(30, a=3.0), scores(40, 6.0))
    curves = read_run(tmp_path)
    assert points(curves["a"]) == {10: 1.0, 20: 2.0, 30: 3.0}
    assert points(curves["mIoU"]) == {20: 5.5, 40: 6.0}


def test_a_last_line_that_was_cut_off_is_left_out_but_no_other(tmp_path):
    log = write_log(tmp_path / "run", "t", training(10, a=1.0), end='{"a": 3, "st')
    assert points(read_run(tmp_path / "run")["a"]) == {10: 1.0}
    whole = log.read_bytes()
    for damage in (b"nonsense\n", b"\xff\xfe\n"):
        log.write_bytes(damage + whole)
        with pytest.raises(InputError, match=f"line 1 of {log} is not a line of a log"):
            read_run(tmp_path / "run")


def test_runs_are_found_one_by_one_or_by_their_folder(tmp_path):
    for name in ("b", "a"):
        write_log(tmp_path / name, "t", training(10, a=1.0))
    (tmp_path / "empty").mkdir()
    a, b = tmp_path / "a", tmp_path / "b"
    assert find_runs([str(b), str(tmp_path)]) == [b, a]
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(InputError, match=f"{path} is not a run: there is no <time>/vis_da"):
            find_runs([str(path)])
    write_log(tmp_path / "new", "t")
    with pytest.raises(InputError, match="has logged nothing yet"):
        read_run(tmp_path / "new")


def test_smoothing_by_hand():
    """Values have weights 1, 1/2, 1/4, ... by age, divided by the sum of the weights."""
    values = np.array([4.0, 2.0, np.nan, 8.0])
    expected = [4, (2 + 4 / 2) / 1.5, np.nan, (8 + 2 / 2 + 4 / 4) / 1.75]
    np.testing.assert_allclose(smooth(values, 0.5), expected)
    np.testing.assert_array_equal(smooth(values, 0), values)
    with pytest.raises(InputError, match=r"must be in \[0, 1\), not 1"):
        smooth(values, 1)


def test_mean_and_spread_at_common_steps():
    curves = [
        Curve(np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0])),
        Curve(np.array([2, 3, 4]), np.array([4.0, 9.0, 0.0])),
    ]
    mean, spread = mean_and_spread(curves)
    assert points(mean) == {2: 3.0, 3: 6.0}
    np.testing.assert_allclose(spread, [2**0.5, 18**0.5])
    with pytest.raises(InputError, match="no logged step in common"):
        mean_and_spread([curves[0], Curve(np.array([9]), np.array([1.0]))])


def test_what_is_drawn_by_default_and_by_name():
    log = "lr base_lr time src.decode.loss_seg src.decode.acc_seg src.loss src.aux.loss_cl"
    names = f"{log} mix.decode.loss_seg confidence ignored_pseudo_labels mIoU mIoU16 aAcc".split()
    runs = [dict.fromkeys(names[:5]), dict.fromkeys(names[3:])]
    assert choose_keys(runs) == {
        "segmentation loss": ["src.decode.loss_seg", "mix.decode.loss_seg"],
        "contrastive loss": ["src.aux.loss_cl"],
        "mIoU [%]": ["mIoU", "mIoU16"],
        "share of pixels": ["confidence"],
        "lr": ["lr"],
    }
    assert choose_keys(runs, ["time", "src.loss", "aAcc", "src.decode.acc_seg"]) == {
        "loss": ["src.loss"],
        "accuracy [%]": ["aAcc", "src.decode.acc_seg"],
        "time": ["time"],
    }
    with pytest.raises(InputError, match="--keys loss: not in the logs; choose from lr, base_lr, "):
        choose_keys(runs, ["loss"])
    with pytest.raises(InputError, match="name --keys"):
        choose_keys([{"memory": None}])


def test_groups_of_seeds():
    names = [
        NAME.format("261122_1000", "DistCL", 0, "0d527"),
        NAME.format("261123_1100", "DistCL", 12, "aaaaa"),
        NAME.format("261123_1100", "BankCL", 0, "bbbbb"),
    ]
    assert groups_of_seeds(names) == {
        "dlv2_sepico_DistCL-reg-w1.0_adamw_6e-05_gta2cs_seed*": [0, 1],
        "dlv2_sepico_BankCL-reg-w1.0_adamw_6e-05_gta2cs_seed*": [2],
    }
    with pytest.raises(InputError, match="--group: no two runs differ in their seed alone"):
        groups_of_seeds(names[1:])


def test_short_names_show_how_runs_differ():
    dist = NAME.format("261122_1000", "DistCL", 0, "0d527")
    assert short_names([dist, NAME.format("261123_1100", "BankCL", 1, "aaaaa")]) == [
        "DistCL seed0",
        "BankCL seed1",
    ]
    again = NAME.format("261123_1100", "DistCL", 0, "0d528")
    assert short_names([dist, again]) == ["261122 1000 0d527", "261123 1100 0d528"]
    assert short_names([dist]) == [dist]
    assert short_names(["a_800_first", "a_400_second"]) == ["first", "second"]
    assert short_names(["a_800_first", "a_400_first"]) == ["800", "400"]
    assert short_names(["a_b", "a"]) == ["a_b", "a"]


def test_what_a_resumed_run_logs_again_is_dropped(tmp_path):
    rows = ['{"iter": 2, "step": 2}', '{"mIoU": 1.0, "step": 2}', '{"iter": 4, "step": 4}']
    rows += ['{"mIoU": 2.0, "step": 4}', '{"iter": 6, "step": 6}', '{"iter": 8, "st']
    logs = [tmp_path / start / "vis_data/scalars.json" for start in ("old", "new")]
    for log in logs:
        log.parent.mkdir(parents=True)
        log.write_text("\n".join(rows))
    drop_repeated(tmp_path, "new", 4, evaluated=True)
    assert logs[0].read_text().splitlines() == rows[:4]
    drop_repeated(tmp_path, "new", 4, evaluated=False)
    assert logs[0].read_text().splitlines() == rows[:3]
    assert logs[1].read_text() == "\n".join(rows)
