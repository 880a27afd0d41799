"""Make pages from the work dirs of runs, and check what is on them."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.tools.failing import error_of
from tests.tools.reporting.stored import (
    GOOD,
    REVISION,
    SEPICO,
    SOURCE_ONLY,
    WORSE,
    data,
    result_of,
    store_run,
    table,
    write_rows,
)
from tools.report import main

SOURCE = {"miou": 100 * (40 / 90 + 10 / 50) / 3, "text": "21.48"}
ADAPTED = {"miou": 100 * (60 / 80 + 20 / 30) / 3, "text": "47.22"}
GAIN = "+25.74"


def report(tmp_path: Path, *runs: Path) -> Path:
    main([*map(str, runs), "--out", str(tmp_path / "out")])
    return tmp_path / "out" / "report.html"


@pytest.fixture
def pair(tmp_path) -> list[Path]:
    """Return a source-only run and SePiCo, which start from the same weights."""
    start = store_run(tmp_path / "runs" / "pretraining", SOURCE_ONLY, WORSE)
    weights = str(start / "iter_40.pth")
    return [
        start,
        store_run(tmp_path / "runs" / "continued", SOURCE_ONLY, WORSE, load_from=weights),
        store_run(tmp_path / "runs" / "sepico", SEPICO, GOOD, load_from=weights),
    ]


def test_one_run(tmp_path, capsys):
    run = store_run(tmp_path / "a run")
    page = report(tmp_path, run)
    assert capsys.readouterr().out == f"wrote {page}\n"
    text = page.read_text(encoding="utf-8")
    assert "<title>SePiCo (DistCL)</title>" in text
    assert "DAFormerHead on ResNetV1c-18" in text
    assert "GTA (data/toy/gta) → Cityscapes (data/toy/cityscapes)" in text
    header, row = table(page, "run-table")
    assert dict(zip(header, row, strict=True)) == {
        "run": "SePiCo (DistCL)",
        "mIoU": ADAPTED["text"],
        "best mIoU": f"{ADAPTED['text']} @40",
        "aAcc": "80.00",  # 80 of 100
        "mAcc": "61.90",  # 60 of 70, 20 of 20, 0 of 10
        "seed": "0",
        "iteration": "40",
    }
    assert table(page, "class-table") == [
        ["class", "SePiCo (DistCL)"],
        ["road", "75.00"],
        ["sky", "66.67"],
        ["car", "0.00"],
        ["mIoU", ADAPTED["text"]],
    ]
    command = re.search(r'<pre class="command">(.*?)</pre>', text, re.S)[1].replace("&#39;", "'")
    checkout, train = command.splitlines()
    assert checkout == f"git checkout {REVISION}"
    words = ["python", "-m", "tools.train", f"{run}/a_run.json", "--work-dir", f"{run}_again"]
    assert shlex.split(train) == [*words, "--device", "cpu"]


def test_source_only_is_subtracted_and_pretraining_is_no_baseline(tmp_path, pair):
    page = report(tmp_path, *pair)
    header, *rows = table(page, "run-table")
    scores = {row[0]: row[1:3] for row in rows}
    assert scores == {
        "source only · pretraining": [SOURCE["text"], "-"],
        "source only · continued": [SOURCE["text"], "-"],
        "SePiCo (DistCL)": [ADAPTED["text"], GAIN],
    }
    header, *classes, means = table(page, "class-table")
    assert header[-1] == "over source only"
    assert [row[-1] for row in classes] == ["+30.56", "+46.67", "+0.00"]
    assert means[-1] == GAIN
    assert "SePiCo (DistCL) over source only" in page.read_text(encoding="utf-8")


def test_scores_of_other_images_are_not_subtracted(tmp_path, pair):
    path = pair[2] / "sepico.json"
    config = json.loads(path.read_text())
    config["val_dataloader"]["dataset"]["indices"] = 3
    path.write_text(json.dumps(config))
    page = report(tmp_path, *pair)
    assert "over source only" not in table(page, "run-table")[0]


def test_settings_that_differ_are_listed_and_no_others(tmp_path, pair):
    rows = {row[0]: row[1:] for row in table(report(tmp_path, *pair[1:]), "settings-table")[1:]}
    assert rows == {
        "model.type": ["SourceOnly", "SePiCo"],
        "model.contrast": ["-", "{type: ContrastiveLoss, variant: dist}"],
    }


def test_seeds_are_averaged(tmp_path):
    runs = [
        store_run(tmp_path / f"{name}_seed{seed}", model, confusion, seed)
        for seed, good in enumerate((GOOD, WORSE))
        for name, model, confusion in (("so", SOURCE_ONLY, WORSE), ("sepico", SEPICO, good))
    ]
    page = report(tmp_path, *runs)
    labels = [row[0] for row in table(page, "run-table")[1:]]
    assert labels == [
        "source only · seed 0",
        "SePiCo (DistCL) · seed 0",
        "source only · seed 1",
        "SePiCo (DistCL) · seed 1",
    ]
    spread = (ADAPTED["miou"] - SOURCE["miou"]) / 2**0.5
    mean = (ADAPTED["miou"] + SOURCE["miou"]) / 2
    gain = f"{mean - SOURCE['miou']:+.2f}"
    assert table(page, "group-table")[1:] == [
        ["source only", "2", f"{SOURCE['text']} ± 0.00", "-"],
        ["SePiCo (DistCL)", "2", f"{mean:.2f} ± {spread:.2f}", gain],
    ]
    assert table(page, "class-table")[1] == ["road", "44.44 ± 0.00", "59.72 ± 21.61", "+15.28"]
    lines = {chart["title"]: chart["series"] for chart in data(page, "chart-data")}["mIoU"]
    assert [line["color"] for line in lines] == [0, 1, 0, 1]


def test_curves_and_confusion(tmp_path):
    page = report(tmp_path, store_run(tmp_path / "run"))
    charts = {chart["title"]: chart["series"] for chart in data(page, "chart-data")}
    (loss,) = charts["segmentation loss"]
    assert loss["x"] == [10, 20, 30, 40] and loss["y"] == [2.0, 1.0, 0.66667, 0.5]
    assert charts["mIoU [%]"][0]["y"] == [21.482, 47.222]
    assert {"share of pixels", "lr"} <= charts.keys()
    (confusion,) = data(page, "confusion-data")
    assert confusion["classes"] == ["road", "sky", "car"]
    assert confusion["pixels"] == [70, 20, 10]
    assert confusion["lost"] == [[0, 1, 10.0], [2, 0, 10.0]]
    assert confusion["rows"] == [[857, 143, 0], [0, 1000, 0], [1000, 0, 0]]


def test_time_and_environment(tmp_path):
    page = report(tmp_path, store_run(tmp_path / "run"))
    assert table(page, "time-table")[1] == ["SePiCo (DistCL)", "0.500", "20 %", "20 s", "2.0 GB"]
    text = page.read_text(encoding="utf-8")
    bars = re.findall(r'<div class="bar"><span>(.*?)</span><i style="width:(.*?)%"', text)
    assert bars == [("whole step", "100.0"), ("src", "62.5"), ("teacher", "25.0")]
    rows = dict(table(page, "environment-table"))
    assert rows == {
        "code": REVISION,
        "hardware": "Some CPU",
        "processes": "1",
        "python": "3.12.1",
    }


def test_pictures_are_on_the_page_itself(tmp_path, pair):
    page = report(tmp_path, *pair[1:])
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    layers = re.findall(r'data-layer="(.*?)" class="(.*?)"', text)
    assert layers == [
        ("image", ""),
        ("ground truth", "left"),
        ("source only", ""),
        ("SePiCo (DistCL)", "right"),
    ]
    assert text.count("data:image/webp") == 6
    assert "6 of 10 panels" in text
    assert 'style="background:rgb(70, 130, 180)"></i>sky' in text


def test_a_page_stays_small_and_says_what_it_left_out(tmp_path):
    run = store_run(tmp_path / "run")
    for kind, suffix in (("image", "jpg"), ("label", "png"), ("prediction", "png")):
        path = run / "validation" / kind / f"street.{suffix}"
        content = path.read_bytes() + bytes(3_490_000)  # which decoders ignore
        for name in ("street", "avenue"):
            path.with_stem(name).write_bytes(content)
    page = report(tmp_path, run)
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 10e6
    assert re.findall(r'data-layer="(.*?)"', text) == ["image", "ground truth"]
    assert "4 pictures are left out to keep the page small." in text


def test_a_run_without_validation_says_so_in_each_section(tmp_path):
    run = store_run(tmp_path / "run")
    log = next(run.glob("*/vis_data/scalars.json"))
    write_rows(log, [json.loads(line) for line in log.read_text().splitlines() if "iter" in line])
    for name in ("validation", "phases"):
        next(run.glob(f"*/vis_data/{name}.json")).unlink()
    next(run.glob("*/environment.json")).unlink()
    for path in run.glob("validation/image/*"):
        path.unlink()
    text = report(tmp_path, run).read_text(encoding="utf-8")
    for line in (
        "No run was evaluated.",
        "No run has stored the scores of each class",
        "No run has stored validation images",
        "No run has stored a confusion matrix",
        "No run has stored the times of the phases",
    ):
        assert line in text


def store_test(run: Path, confusion: list[list[int]], **differences) -> None:
    """Store the result of a test of the last checkpoint, as ``tools.test`` does."""
    about = {"checkpoint": str(run / "iter_40.pth"), "model": "student", "aug_test": False}
    about |= {"dataset": "CityscapesDataset", "data_root": "data/toy/cityscapes/", "images": 500}
    result = about | result_of(confusion) | differences
    (run / "iter_40_cityscapes_eval.json").write_text(json.dumps(result))


def test_a_comparison_of_the_runs_counts_more_than_validation(tmp_path, pair):
    for run in pair[1:]:
        store_test(run, WORSE if "sepico" in run.name else GOOD)
    page = report(tmp_path, *pair)
    rows = table(page, "run-table")[1:]
    of_validation, of_test = (f"Cityscapes in data/toy/cityscapes, {n} images" for n in (2, 500))
    assert {row[0]: (row[1], row[2], row[-1]) for row in rows} == {
        "source only · pretraining": (SOURCE["text"], "-", of_validation),
        "source only · continued": (ADAPTED["text"], "-", of_test),
        "SePiCo (DistCL)": (SOURCE["text"], GAIN.replace("+", "-"), of_test),
    }
    store_test(pair[2], WORSE, data_root="data/other")
    assert table(report(tmp_path, *pair), "run-table")[3][1:3] == [ADAPTED["text"], GAIN]


def test_a_run_that_writes_no_scalars_has_a_page(tmp_path):
    run = store_run(tmp_path / "run")
    next(run.glob("*/vis_data/scalars.json")).unlink()
    page = report(tmp_path, run)
    header, values = table(page, "run-table")
    scores = dict(zip(header, values, strict=True))
    assert (scores["mIoU"], scores["iteration"]) == (ADAPTED["text"], "40")
    assert data(page, "chart-data") == []
    assert "No run has logged values." in page.read_text(encoding="utf-8")


def test_a_stored_test_is_listed_and_replaces_a_missing_validation(tmp_path):
    run = store_run(tmp_path / "run")
    log = next(run.glob("*/vis_data/scalars.json"))
    write_rows(log, [json.loads(line) for line in log.read_text().splitlines() if "iter" in line])
    next(run.glob("*/vis_data/validation.json")).unlink()
    store_test(run, GOOD, data_root="data/cs/")
    page = report(tmp_path, run)
    assert table(page, "run-table")[1][1] == ADAPTED["text"]
    expected = ["iter_40.pth", "Cityscapes (data/cs)", "student", "500", ADAPTED["text"]]
    assert table(page, "test-table")[1][1:] == expected
    assert data(page, "confusion-data")[0]["pixels"] == [70, 20, 10]


def test_bad_input_is_one_line(tmp_path):
    run = store_run(tmp_path / "run")
    out = ["--out", str(tmp_path / "out")]
    (tmp_path / "empty").mkdir()
    assert error_of(main, tmp_path / "empty", *out) == (
        f"{tmp_path}/empty is not a run: there is no <time>/vis_data/scalars.json in it"
    )
    log = next(run.glob("*/vis_data/scalars.json"))
    lines = log.read_text()
    (run / "finished").unlink()
    next(run.glob("*/vis_data/validation.json")).unlink()
    log.write_text("")
    assert error_of(main, run, *out) == f"{run} has logged nothing yet"
    log.write_text("{\n" + lines)
    assert error_of(main, run, *out) == f"line 1 of {log} is not a line of a log"
    log.write_text(lines)
    (run / "run.json").unlink()
    assert error_of(main, run, *out) == f"{run} is not a run: there is no config in it"
    assert not (tmp_path / "out").exists()


def test_means_over_some_classes_and_conditions_have_columns(tmp_path):
    run = store_run(tmp_path / "run")
    log = next(run.glob("*/vis_data/validation.json"))
    row = json.loads(log.read_text().splitlines()[-1])
    row["results"]["student"]["summary"]["mIoU16"] = 61.25
    row["results"]["student"]["per_condition"] = {"fog": result_of(WORSE)}
    write_rows(log, [row])
    header, values = table(report(tmp_path, run), "run-table")
    scores = dict(zip(header, values, strict=True))
    assert (scores["mIoU16"], scores["mIoU, fog"]) == ("61.25", SOURCE["text"])


def test_classes_that_the_ground_truth_lacks_do_not_count(tmp_path):
    """In mIoU the two pixels that are taken for cars cost source only a third of the mean."""
    for name, model, confusion in [
        ("source", SOURCE_ONLY, [[40, 30, 2], [10, 10, 0], [0, 0, 0]]),
        ("adapted", SEPICO, [[40, 32, 0], [10, 10, 0], [0, 0, 0]]),
    ]:
        store_run(tmp_path / name, model, confusion)
    page = report(tmp_path, tmp_path / "source", tmp_path / "adapted")
    road, sky = 100 * 40 / 82, [100 * 10 / 50, 100 * 10 / 52]
    before, after = (f"{(road + each) / 2:.2f}" for each in sky)
    gain = f"{(sky[1] - sky[0]) / 2:+.2f}"
    assert table(page, "class-table") == [
        ["class", "source only", "SePiCo (DistCL)", "over source only"],
        ["road", f"{road:.2f}", f"{road:.2f}", "+0.00"],
        ["sky", f"{sky[0]:.2f}", f"{sky[1]:.2f}", f"{sky[1] - sky[0]:+.2f}"],
        ["mIoU_gt", before, after, gain],
    ]
    header, source, adapted = table(page, "run-table")
    assert header[1:4] == ["mIoU", "mIoU_gt", "over source only"]
    assert source[1:4] == [f"{(road + sky[0]) / 3:.2f}", before, "-"]
    assert adapted[1:4] == [after, after, gain]
    text = page.read_text()
    assert "Classes that the ground truth lacks are left out: 1." in text
    heat_maps = re.findall(r'<table class="grid">.*?</table>', text, re.S)
    rows = [re.findall(r"<tr><th>(\w+)</th>", each) for each in heat_maps]
    assert rows[:2] == [["class", "road", "sky"]] * 2
    assert f"{gain} <small>mIoU_gt</small>" in text
