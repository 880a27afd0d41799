"""Test rare class sampling against recorded numbers, and the files that it reads."""

import json

import numpy as np
import pytest

from mmseg.datasets import GTADataset
from mmseg.datasets.rare_class_sampling import (
    RareClassSampling,
    class_frequencies,
    class_probabilities,
    rare_class_table,
)
from mmseg.utils import InputError
from tests.datasets.small_data import LABELLED, make_gta
from tests.golden import load_golden

SETTINGS = RareClassSampling(min_pixels=100)


def _table(root, settings=SETTINGS, **arguments):
    return rare_class_table(GTADataset(str(root), LABELLED, **arguments), settings)


def _edit(path, change) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))


def test_probabilities_equal_the_release():
    golden = load_golden("rare_class_sampling.json")
    frequencies = class_frequencies(golden["sample_class_stats"])
    assert list(frequencies) == golden["classes"]
    assert sum(frequencies.values()) == pytest.approx(1)
    probabilities = class_probabilities(np.array(list(frequencies.values())), golden["temperature"])
    np.testing.assert_allclose(probabilities, golden["probabilities"], rtol=1e-5)


def test_probabilities_by_hand():
    stats = [{"3": 1, "file": "a"}, {"3": 0, "5": 3, "file": "b"}]
    assert class_frequencies(stats) == {3: 0.25, 5: 0.75}
    # The frequencies differ by 0.5, so the ratio is exp(-0.5 / 0.5).
    expected = np.array([1, np.exp(-1)]) / (1 + np.exp(-1))
    np.testing.assert_allclose(class_probabilities(np.array([0.25, 0.75]), 0.5), expected)


def test_candidates_have_more_than_the_minimum(tmp_path):
    make_gta(tmp_path)
    table = _table(tmp_path)
    stats = json.loads((tmp_path / "sample_class_stats.json").read_text())
    assert len(table.classes) == 19
    for label, indices in zip(table.classes, table.samples, strict=True):
        expected = [i for i, sample in enumerate(stats) if sample.get(str(label), 0) > 100]
        assert indices.tolist() == expected


def test_draws_follow_the_probabilities(tmp_path):
    make_gta(tmp_path)
    table = _table(tmp_path)
    rng = np.random.default_rng(0)
    draws = [table.draw(rng) for _ in range(4000)]
    shares = np.array([np.mean([c == label for c, _ in draws]) for label in table.classes])
    np.testing.assert_allclose(shares, table.probabilities, atol=0.03)
    samples = dict(zip(table.classes.tolist(), table.samples, strict=True))
    assert all(index in samples[label] for label, index in draws)


@pytest.mark.parametrize("prefix", ["data/gta/", "/other/place/gta/"])
def test_paths_may_be_joined_with_another_root(tmp_path, prefix):
    make_gta(tmp_path)
    before = _table(tmp_path)
    _edit(
        tmp_path / "sample_class_stats.json",
        lambda stats: [{**sample, "file": prefix + sample["file"]} for sample in stats],
    )
    _edit(
        tmp_path / "samples_with_class.json",
        lambda samples: {c: [[prefix + f, n] for f, n in files] for c, files in samples.items()},
    )
    after = _table(tmp_path)
    assert after.classes.tolist() == before.classes.tolist()
    assert [s.tolist() for s in after.samples] == [s.tolist() for s in before.samples]


def test_class_without_enough_pixels_is_never_drawn(tmp_path):
    make_gta(tmp_path)
    stats = json.loads((tmp_path / "sample_class_stats.json").read_text())
    largest = {c: max(sample.get(str(c), 0) for sample in stats) for c in range(19)}
    limit = sorted(largest.values())[9]
    table = _table(tmp_path, RareClassSampling(min_pixels=limit))
    assert set(table.classes.tolist()) == {c for c, n in largest.items() if n > limit}
    assert table.probabilities.sum() == pytest.approx(1)
    with pytest.raises(InputError, match="lower min_pixels"):
        _table(tmp_path, RareClassSampling(min_pixels=max(largest.values())))


def test_subset_counts_only_its_own_images(tmp_path):
    make_gta(tmp_path)
    table = _table(tmp_path, indices=[2])
    stats = json.loads((tmp_path / "sample_class_stats.json").read_text())[2]
    assert set(table.classes.tolist()) == {int(c) for c in stats if c != "file" and stats[c] > 100}
    assert all(indices.tolist() == [0] for indices in table.samples)


@pytest.mark.parametrize("name", ["sample_class_stats.json", "samples_with_class.json"])
def test_bad_files_name_the_command(tmp_path, name):
    make_gta(tmp_path)
    command = f"run `python -m tools.convert_datasets.gta {tmp_path} --nproc 8`"
    (tmp_path / name).write_text("[1, 2]")
    with pytest.raises(InputError, match=f"does not hold what the converter writes: {command}"):
        _table(tmp_path)
    (tmp_path / name).write_text('{"1": [["lab')
    with pytest.raises(InputError, match=f"{name} cannot be read: {command}"):
        _table(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing, .*: {command}"):
        _table(tmp_path)


def test_statistics_and_data_set_must_agree(tmp_path):
    make_gta(tmp_path)
    lost = [tmp_path / "images/00001.png", tmp_path / "labels/00001_labelTrainIds.png"]
    contents = [path.read_bytes() for path in lost]
    for path in lost:
        path.unlink()
    with pytest.raises(InputError, match=r"names 1 label maps .*instance labels/00001_.*: run"):
        _table(tmp_path)
    _edit(tmp_path / "sample_class_stats.json", lambda stats: stats[:1] + stats[2:])
    with pytest.raises(InputError, match=r"samples_with_class\.json .* not in the data set: run"):
        _table(tmp_path)
    for path, content in zip(lost, contents, strict=True):
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"lacks 1 label maps .*/labels/00001_.*: run"):
        _table(tmp_path)


def test_classes_must_be_known(tmp_path):
    make_gta(tmp_path)
    with pytest.raises(InputError, match="counts class 18, but the data set has 3 classes"):
        _table(tmp_path, metainfo={"classes": ["a", "b", "c"]})


def test_source_needs_labels(tmp_path):
    make_gta(tmp_path)
    with pytest.raises(InputError, match="needs labels"):
        rare_class_table(GTADataset(str(tmp_path), {"img_path": "images"}), SETTINGS)
