"""Toy sets are made unless they are complete, and foreign files are not touched."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.toy import ToySettings, has_toy_data, make_toy_data
from mmseg.utils import InputError
from tests.files import full_disk
from tools.make_toy_data import main

TINY = ToySettings(1, 1, 1, 1)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of five sets of two images each."""
    root = tmp_path_factory.mktemp("toy")
    make_toy_data(root, ToySettings(2, 2, 1, 1, seed=7), nproc=1, sets=SETS)
    return contents(root)


SETS = ("gta", "cityscapes", "synthia", "dark_zurich", "acdc")


def test_files_depend_on_the_seed_alone(made: dict[str, bytes], tmp_path: Path) -> None:
    make_toy_data(tmp_path, ToySettings(2, 2, 1, 1, seed=7), nproc=2, sets=SETS[::-1])
    again = contents(tmp_path)
    assert json.loads(again.pop("toy.json")) == json.loads(made["toy.json"])
    assert again == {name: data for name, data in made.items() if name != "toy.json"}


@pytest.mark.parametrize(
    "image",
    [
        "gta/images/00001.png",
        "cityscapes/leftImg8bit/val/toyport/toyport_000000_000019_leftImg8bit.png",
        "synthia/RGB/0000000.png",
        "dark_zurich/rgb_anon/test/night/TOYN0355/TOYN0355_frame_000001_rgb_anon.png",
        "acdc/rgb_anon/fog/train/TOYF0475/TOYF0475_frame_000001_rgb_anon.png",
    ],
)
def test_images_depend_on_the_seed_not_on_their_number(
    made: dict[str, bytes], tmp_path: Path, image: str
) -> None:
    name = image.split("/")[0]
    make_toy_data(tmp_path / "same", ToySettings(1, 1, 1, 1, seed=7), nproc=1, sets=[name])
    make_toy_data(tmp_path / "other", ToySettings(1, 1, 1, 1, seed=8), nproc=1, sets=[name])
    assert (tmp_path / "same" / image).read_bytes() == made[image]
    assert (tmp_path / "other" / image).read_bytes() != made[image]


def test_complete_sets_are_kept_and_others_made_again(tmp_path: Path) -> None:
    root = tmp_path / "toy"
    assert not has_toy_data(root)
    assert make_toy_data(root, TINY, nproc=1)
    assert has_toy_data(root)
    before = contents(root)
    assert not make_toy_data(root, TINY, nproc=1)
    # An interrupted run leaves a marker without the set.
    (root / "toy.json").write_text('{"sets": {}}')
    (root / "gta/images/00001.png").write_bytes(b"half")
    assert not has_toy_data(root)
    assert make_toy_data(root, TINY, nproc=1)
    assert contents(root) == before
    (root / "gta/labels/00001_labelTrainIds.png").unlink()
    assert make_toy_data(root, TINY, nproc=1)
    assert make_toy_data(root, ToySettings(1, 1, 1, 1, seed=1), nproc=1)


def test_each_set_is_complete_on_its_own(tmp_path: Path) -> None:
    assert make_toy_data(tmp_path, TINY, nproc=1, sets=["dark_zurich"])
    assert has_toy_data(tmp_path, ["dark_zurich"]) and not has_toy_data(tmp_path, ["gta"])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["dark_zurich", "toy.json"]
    night = contents(tmp_path / "dark_zurich")
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    # Another number of source images changes GTA, but not Dark Zurich.
    assert make_toy_data(tmp_path, ToySettings(2, 1, 1, 1), 1, ["gta", "dark_zurich"])
    assert has_toy_data(tmp_path, ["gta", "dark_zurich"])
    assert all(path.stat().st_mtime_ns == at for path, at in written.items())
    # One more image in any split of Dark Zurich makes it a new set.
    assert make_toy_data(tmp_path, ToySettings(2, 1, 1, 2), 1, ["dark_zurich"])
    assert len(contents(tmp_path / "dark_zurich")) == len(night) + 1
    (tmp_path / "dark_zurich/corresp/train/night/TOYN0351.csv").unlink()
    assert make_toy_data(tmp_path, ToySettings(2, 1, 1, 2), 1, ["dark_zurich"])


def test_sets_of_an_older_marker_are_made_again(tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_text('{"complete": true, "drawing": 2}')
    (tmp_path / "gta").mkdir()
    (tmp_path / "gta/old.png").write_bytes(b"old")
    assert not has_toy_data(tmp_path, ["gta"])
    assert make_toy_data(tmp_path, TINY, nproc=1, sets=["gta"])
    assert not (tmp_path / "gta/old.png").exists()


def test_runs_that_start_together_draw_a_set_once(tmp_path: Path) -> None:
    def draw(_: int) -> bool:
        return make_toy_data(tmp_path / "toy", TINY, nproc=1, sets=["gta"])

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(draw, range(3))) == [False, False, True]
    assert has_toy_data(tmp_path / "toy", ["gta"])
    assert {path.name for path in (tmp_path / "toy").iterdir()} == {"gta", "toy.json"}


def test_a_failed_run_is_not_complete(tmp_path: Path) -> None:
    make_toy_data(tmp_path / "toy", TINY, nproc=1, sets=["gta"])
    with full_disk(4096), pytest.raises(InputError, match=r"File too large.*give a folder that"):
        make_toy_data(tmp_path / "toy", ToySettings(2, 1, 1), nproc=1)
    assert not has_toy_data(tmp_path / "toy", ["gta"])


def test_foreign_files_are_never_removed(tmp_path: Path) -> None:
    precious = tmp_path / "gta/images/00001.png"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"real data")
    with pytest.raises(InputError, match="other files than toy data"):
        make_toy_data(tmp_path, TINY, nproc=1)
    with pytest.raises(InputError, match="is a file"):
        make_toy_data(precious, TINY, nproc=1)
    assert precious.read_bytes() == b"real data"


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="num_val must be at least 1, got 0"):
        ToySettings(num_val=0)
    with pytest.raises(InputError, match="no toy data set 'kitti': choose from gta, cityscapes"):
        make_toy_data(tmp_path / "toy", TINY, sets=["gta", "kitti"])
    assert not (tmp_path / "toy").exists()


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(tmp_path / "toy")]
    for option in ("--source", "--target-train", "--val", "--test", "--nproc"):
        command += [option, "1"]
    assert main(command) == 0
    assert capsys.readouterr().out.endswith("toy: made\n")
    assert has_toy_data(tmp_path / "toy", SETS)
    assert main([*command, "--sets", "synthia"]) == 0
    assert "already complete" in capsys.readouterr().out
    with pytest.raises(InputError, match="num_source must be at least 1"):
        main([command[0], "--source", "0"])
