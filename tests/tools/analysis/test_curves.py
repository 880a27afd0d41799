import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmseg.datasets.image_files import read_image
from mmseg.utils import InputError
from tests.tools.analysis.test_logs import scores, training, write_log
from tools.analysis.curves import plot_runs


@pytest.fixture
def runs(tmp_path):
    """Write two seeds of a method, whose losses differ by 2, and a run of another without mIoU."""
    for seed in (0, 1):
        rows = [training(step, loss_seg=step / 10 + 2 * seed) for step in (10, 20, 30)]
        write_log(tmp_path / f"dist_seed{seed}", "t", *rows, scores(30, 40.0 + seed))
    write_log(tmp_path / "bank_seed0", "t", *(training(s, loss_seg=5.0) for s in (10, 20, 30)))
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """Collect the figures instead of saving them."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    return figures


def lines_by_title(figure: Figure) -> dict[str, dict[str, Line2D]]:
    """Map panel titles to their lines by label, without the transparent lines behind."""
    return {
        axis.get_ylabel(): {
            line.get_label(): line for line in axis.lines if line.get_alpha() is None
        }
        for axis in figure.axes
    }


def test_curves_of_a_kind_in_one_run_share_a_panel(runs, drawn):
    plot_runs([str(runs / "dist_seed0")], runs / "c.png", smoothing=0.5)
    (figure,) = drawn
    assert (figure.get_suptitle(), figure.legends) == ("dist_seed0", [])
    panels = lines_by_title(figure)
    assert {title: list(lines) for title, lines in panels.items()} == {
        "segmentation loss": ["loss_seg"],
        "mIoU [%]": ["mIoU"],
        "lr": ["lr"],
    }
    loss, miou, _ = figure.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [1, 2, 3])
    np.testing.assert_allclose(loss.lines[1].get_ydata(), [1, 2.5 / 1.5, 4.25 / 1.75])
    assert loss.lines[1] is panels["segmentation loss"]["loss_seg"]
    (score,) = miou.lines  # scores are not smoothed
    assert score.get_ydata().tolist() == [40]


def test_each_curve_of_several_runs_has_a_panel(runs, drawn):
    result = plot_runs([str(runs)], runs / "c.png", keys=["mIoU", "loss_seg"])
    (figure,) = drawn
    assert figure.get_suptitle() == ""
    assert list(result) == ["bank seed0", "dist seed0", "dist seed1"]
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.texts) == list(result)
    panels = lines_by_title(figure)
    assert list(panels["loss_seg"]) == list(result)
    # A run has the same colour in every panel, even if another run lacks the curve.
    colors = {label: to_hex(line.get_color()) for label, line in panels["mIoU"].items()}
    assert colors == {"dist seed0": "#ff7f0e", "dist seed1": "#2ca02c"}


def test_groups_are_drawn_as_mean_and_spread(runs, drawn):
    plot_runs([str(runs)], runs / "c.png", keys=["loss_seg"], group=True, labels=["B", "D"])
    (axis,) = drawn[0].axes
    bank, dist = axis.lines
    assert (bank.get_label(), dist.get_label()) == ("B", "D (mean of 2 seeds)")
    np.testing.assert_allclose(dist.get_ydata(), [2, 3, 4])
    (band,) = axis.collections  # only one group has several seeds
    corners = band.get_paths()[0].vertices
    for step, mean in ((10, 2), (20, 3), (30, 4)):
        heights = corners[corners[:, 0] == step, 1]
        np.testing.assert_allclose((heights.min(), heights.max()), (mean - 2**0.5, mean + 2**0.5))


@pytest.mark.parametrize("group", [False, True])
def test_the_chart(runs, group):
    plot_runs([str(runs)], runs / "deep" / "c.png", group=group)
    picture = read_image(str(runs / "deep" / "c.png"))
    colors = set((picture.astype(int) @ [1, 256, 65536]).ravel().tolist())  # BGR
    blue, orange, green = 0x1F77B4, 0xFF7F0E, 0x2CA02C
    assert {blue, orange} <= colors and (green in colors) is not group


@pytest.mark.parametrize(
    "options, message",
    [
        ({"out": "c.txt"}, "must end with .png, .pdf, .svg"),
        ({"labels": ["a"]}, "--labels: 3 different labels are needed"),
        ({"labels": ["a", "b", "a"]}, "--labels: 3 different labels are needed"),
        ({"keys": ["loss"]}, "--keys loss: not in the logs"),
        ({"out": "dist_seed0/t/vis_data/scalars.json/c.png"}, "cannot write to"),
    ],
)
def test_mistakes(runs, options, message):
    with pytest.raises(InputError, match=message):
        plot_runs([str(runs)], runs / options.pop("out", "c.png"), **options)
