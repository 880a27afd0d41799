import numpy as np
import pytest
from PIL import Image

from mmseg.visualization import legend, panel, save_image
from mmseg.visualization.panels import GAP

RED, BLUE = (255, 0, 0), (0, 0, 255)


def plain(color, height=20, width=40):
    return np.full((height, width, 3), color, np.uint8)


def columns_of(picture, color):
    return np.flatnonzero((picture == color).all(2).any(0))


def rows_of(picture, color):
    return np.flatnonzero((picture == color).all(2).any(1))


def test_panel_has_cells_of_one_width_and_keeps_proportions():
    picture = panel([[("one", plain(RED)), ("two", plain(BLUE, 30, 30))]], cell_width=60)
    assert picture.shape[1] == 2 * 60 + 3 * GAP
    assert columns_of(picture, RED).tolist() == list(range(GAP, GAP + 60))
    assert columns_of(picture, BLUE).tolist() == list(range(2 * GAP + 60, 2 * GAP + 120))
    assert len(rows_of(picture, RED)) == 30 and len(rows_of(picture, BLUE)) == 60
    assert rows_of(picture, RED)[0] == rows_of(picture, BLUE)[0]


def test_titles_are_written_and_rows_without_them_take_no_space():
    titled = panel([[("title", plain(RED))]], cell_width=60, font_size=15)
    bare = panel([[("", plain(RED))]], cell_width=60, font_size=15)
    assert titled.shape[0] == bare.shape[0] + 15 + GAP
    above = titled[: rows_of(titled, RED)[0]]
    assert (above < 100).all(2).sum() > 20  # ink


def test_a_long_title_stays_in_its_cell():
    picture = panel([[("a title longer than its cell", plain(RED))]], cell_width=150)
    ink = np.flatnonzero((picture < 100).all(2).any(0))
    assert ink[-1] < GAP + 150


def test_enlarged_labels_get_no_new_colours():
    half = np.concatenate([plain(RED, 2, 2), plain(BLUE, 2, 2)], axis=1)
    picture = panel([[("", half)]], cell_width=30)
    inside = picture[GAP:-GAP, GAP:-GAP].reshape(-1, 3)
    assert sorted(map(tuple, np.unique(inside, axis=0).tolist())) == [BLUE, RED]


def test_an_empty_panel_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        panel([[]])


def test_legend_shows_every_colour_once():
    picture = legend(["red", "blue"], [RED, BLUE], width=200, font_size=12)
    assert picture.shape[1] == 200
    swatch = (round(1.1 * 12) - 2) ** 2  # less the outline
    for color in (RED, BLUE):
        assert (picture == color).all(2).sum() == swatch


def test_save_image_round_trip_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "picture.png"
    save_image(path, plain(RED)[:, ::-1])
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), plain(RED))
    assert list(path.parent.iterdir()) == [path]
