import numpy as np
import pytest

from mmseg.analysis.curves import plot_runs
from mmseg.datasets.image_files import read_image
from mmseg.utils import InputError
from tests.analysis.test_logs import scores, training, write_log


@pytest.fixture
def runs(tmp_path):
    """Two seeds of one method, which differ by 2, and a run of another without mIoU."""
    for seed in (0, 1):
        rows = [training(step, loss_seg=step / 10 + 2 * seed) for step in (10, 20, 30)]
        write_log(tmp_path / f"dist_seed{seed}", "t", *rows, scores(30, 40.0 + seed))
    write_log(tmp_path / "bank_seed0", "t", *(training(s, loss_seg=5.0) for s in (10, 20, 30)))
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """What is asked of the chart."""
    calls = []

    def draw_curves(path, panels, title, shared_legend):
        calls.append((panels, title, shared_legend))

    monkeypatch.setattr("mmseg.analysis.curves.draw_curves", draw_curves)
    return calls


def test_of_one_run_curves_of_a_kind_share_a_panel(runs, drawn):
    plot_runs([str(runs / "dist_seed0")], runs / "c.png", smoothing=0.5)
    ((panels, title, shared_legend),) = drawn
    assert (title, shared_legend) == ("dist_seed0", False)
    assert {p.title: [line.label for line in p.lines] for p in panels} == {
        "segmentation loss": ["loss_seg"],
        "mIoU [%]": ["mIoU"],
        "lr": ["lr"],
    }
    loss, miou, _ = (panel.lines[0] for panel in panels)
    np.testing.assert_allclose(loss.y, [1, 2.5 / 1.5, 4.25 / 1.75])
    np.testing.assert_allclose(loss.faint, [1, 2, 3])
    assert miou.y.tolist() == [40] and miou.faint is None  # scores count each for itself


def test_of_several_runs_each_curve_has_a_panel(runs, drawn):
    result = plot_runs([str(runs)], runs / "c.png", keys=["mIoU", "loss_seg"])
    ((panels, title, shared_legend),) = drawn
    assert (title, shared_legend) == ("", True)
    assert list(result) == ["bank seed0", "dist seed0", "dist seed1"]
    by_title = {panel.title: panel.lines for panel in panels}
    assert [line.label for line in by_title["loss_seg"]] == list(result)
    # The colour is the run's, also where another has no such curve.
    assert [(line.label, line.color) for line in by_title["mIoU"]] == [
        ("dist seed0", 1),
        ("dist seed1", 2),
    ]


def test_groups_are_drawn_as_mean_and_spread(runs, drawn):
    plot_runs([str(runs)], runs / "c.png", keys=["loss_seg"], group=True, labels=["B", "D"])
    (((panel,), _, _),) = drawn
    bank, dist = panel.lines
    assert (bank.label, dist.label) == ("B", "D (mean of 2 seeds)")
    assert bank.spread is None
    np.testing.assert_allclose(dist.y, [2, 3, 4])
    np.testing.assert_allclose(dist.spread, [2**0.5] * 3)


@pytest.mark.parametrize("group", [False, True])
def test_the_chart(runs, group):
    plot_runs([str(runs)], runs / "deep" / "c.png", group=group)
    picture = read_image(str(runs / "deep" / "c.png"))
    colors = set((picture.astype(int) @ [1, 256, 65536]).ravel().tolist())  # of BGR
    blue, orange, green = 0x1F77B4, 0xFF7F0E, 0x2CA02C
    assert {blue, orange} <= colors and (green in colors) is not group


@pytest.mark.parametrize(
    "options, message",
    [
        ({"out": "c.txt"}, "must end with .png, .pdf, .svg"),
        ({"labels": ["a"]}, "--labels: 3 different ones are needed"),
        ({"labels": ["a", "b", "a"]}, "--labels: 3 different ones are needed"),
        ({"keys": ["loss"]}, "--keys loss: not in the logs"),
        ({"out": "dist_seed0/t/vis_data/scalars.json/c.png"}, "cannot write to"),
    ],
)
def test_mistakes(runs, options, message):
    with pytest.raises(InputError, match=message):
        plot_runs([str(runs)], runs / options.pop("out", "c.png"), **options)
