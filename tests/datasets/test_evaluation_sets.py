import pytest
from mmengine.config import Config

from mmseg.datasets.evaluation_sets import (
    EVALUATION_SETS,
    is_labelled,
    name_of,
    own_labelled_set,
    own_set,
)
from mmseg.registry import DATASETS
from mmseg.utils import InputError
from tools.test import evaluation_sets

VAL = {"img_path": "rgb_anon/val/night", "seg_map_path": "gt/val/night"}
TEST = {"img_path": "rgb_anon/test/night"}


def loader(prefix, root="mine", kind="DarkZurichDataset", **settings):
    return {**settings, "dataset": {"type": kind, "data_root": root, "data_prefix": prefix}}


def night_config(**settings):
    """Return a config with a labelled validation set and a test set without labels."""
    return Config(
        {"val_dataloader": loader(VAL, **settings), "test_dataloader": loader(TEST, **settings)}
    )


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Change to a directory with an empty folder for each data set."""
    for name in (*(f"data/{name}" for name in EVALUATION_SETS), "mine", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_evaluation_set_has_a_registered_data_set():
    for name, dataset in EVALUATION_SETS.items():
        kind = DATASETS.get(dataset["type"])
        kind(**{key: value for key, value in dataset.items() if key != "type"}, lazy_init=True)
        assert dataset["data_root"] == f"data/{name}"
        assert is_labelled(dataset)
        assert name_of(dataset) == name
    scales = {name: each["pipeline"][1]["scale"] for name, each in EVALUATION_SETS.items()}
    assert scales.pop("cityscapes") == (1280, 640)
    assert set(scales.values()) == {(1280, 720)}


def test_a_name_means_the_labelled_set_of_the_config():
    cfg = night_config(batch_size=3, num_workers=0)
    before = cfg.to_dict()
    own, other = evaluation_sets(cfg, ["dark_zurich", "night_driving"])
    assert own.cfg.test_dataloader.to_dict() == cfg.val_dataloader.to_dict()
    assert (own.name, own.tag) == ("dark_zurich", "darkzurich")
    assert other.cfg.test_dataloader.dataset == EVALUATION_SETS["night_driving"]
    assert other.cfg.test_dataloader.batch_size == 3
    assert other.cfg.test_dataloader.num_workers == 0
    other.cfg.test_dataloader.dataset.pipeline.clear()
    own.cfg.test_dataloader.dataset.data_prefix.clear()
    assert cfg.to_dict() == before and len(EVALUATION_SETS["night_driving"]["pipeline"]) == 4


def test_a_labelled_test_set_comes_before_the_validation_set():
    cfg = night_config()
    cfg.test_dataloader = loader({**VAL, "img_path": "other"})
    (own,) = evaluation_sets(cfg, ["dark_zurich"])
    assert own.cfg.test_dataloader.dataset.data_prefix.img_path == "other"


def test_own_sets():
    cfg = night_config()
    assert own_set(cfg).cfg is cfg
    assert evaluation_sets(cfg) == [own_set(cfg)]
    assert own_labelled_set(cfg).cfg.test_dataloader.dataset.data_prefix == VAL
    cfg.pop("val_dataloader")
    assert own_labelled_set(cfg).cfg.test_dataloader.dataset.data_prefix == TEST
    with pytest.raises(InputError, match="the config has no test_dataloader"):
        own_set(Config({}))


def test_a_config_file_provides_its_test_data(tmp_path):
    other = Config(
        {"test_dataloader": loader(VAL), "tta_pipeline": [{"type": "Resize"}], "model": {}}
    )
    other.dump(tmp_path / "my_night.json")
    (found,) = evaluation_sets(Config({}), [str(tmp_path / "my_night.json")])
    assert (found.name, found.tag) == ("my_night", "my_night")
    assert found.cfg.to_dict() == other.to_dict()
    Config({}).dump(tmp_path / "empty.json")
    with pytest.raises(InputError, match=r"empty.json: this config has no test_dataloader"):
        evaluation_sets(Config({}), [str(tmp_path / "empty.json")])


def test_data_roots_by_name():
    cfg = night_config()
    roots = {"dark_zurich": "elsewhere", "acdc": "elsewhere"}
    sets = evaluation_sets(cfg, ["acdc", "cityscapes", "dark_zurich"], roots)
    found = [each.cfg.test_dataloader.dataset.data_root for each in sets]
    assert found == ["elsewhere", "data/cityscapes", "elsewhere"]
    assert cfg.val_dataloader.dataset.data_root == "mine"


@pytest.mark.parametrize(
    "names, roots, message",
    [
        (["kitti"], {}, "--dataset kitti: unknown; choose from cityscapes, dark_zurich, night_"),
        (["acdc", "acdc"], {}, "--dataset names acdc twice"),
        (["acdc"], {"bdd": "x"}, "--data-root bdd=x: --dataset does not name bdd"),
        ([], {"acdc": "x"}, "--data-root acdc=x: --dataset does not name acdc"),
        (
            ["cityscapes", "acdc", "night_driving"],
            {"cityscapes": "gone", "acdc": "away"},
            r"no data for cityscapes \(gone\), acdc \(away\): link .* "
            "--data-root cityscapes=DIR --data-root acdc=DIR",
        ),
    ],
)
def test_bad_names_and_roots_are_refused(names, roots, message):
    with pytest.raises(InputError, match=message):
        evaluation_sets(night_config(), names, roots)


def test_by_default_only_a_test_split_is_unlabelled():
    assert is_labelled({"type": "ACDCDataset"})
    assert not is_labelled({"type": "ACDCDataset", "split": "test"})
    assert not is_labelled({"data_prefix": {"img_path": "a", "seg_map_path": None}})
    assert name_of({"type": "BaseSegDataset"}) is None
