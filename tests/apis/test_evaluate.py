import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook

from mmseg.apis import Outputs, evaluate, init_model, report
from mmseg.apis.init_model import select_device
from mmseg.utils import InputError, memory

from .color_world import (
    ACC,
    CLASSES,
    IOU,
    PAINTED,
    SCORES,
    ThePixels,
    method_model,
    plain_model,
    prefixed,
    weights,
    write_world,
)

SCORE = Outputs(metrics=("mIoU",))


@pytest.fixture
def world(tmp_path):
    """Return a config and a checkpoint of the baseline, whose student predicts the colours."""
    cfg = write_world(tmp_path, method_model())
    checkpoint = tmp_path / "run" / "iter_7.pth"
    checkpoint.parent.mkdir()
    torch.save({"state_dict": prefixed("model", weights()), "meta": {}}, checkpoint)
    return cfg, checkpoint


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def painted(i, scale=4):
    return np.kron(np.array(PAINTED[i]), np.ones((scale, scale), int))


def test_scores_by_hand_and_the_file_next_to_the_checkpoint(world):
    cfg, checkpoint = world
    before = cfg.to_dict()
    result = evaluate(cfg, checkpoint, SCORE, device="cpu")
    assert result["summary"] == SCORES
    expected = {n: {"IoU": i, "Acc": a} for n, i, a in zip(CLASSES, IOU, ACC, strict=True)}
    assert result["per_class"] == expected
    assert files_below(checkpoint.parent) == ["iter_7.pth", "iter_7_baseseg_eval.json"]
    saved = json.loads((checkpoint.parent / "iter_7_baseseg_eval.json").read_text())
    assert saved == {key: value for key, value in result.items() if key != "file"}
    assert saved["model"] == "student" and saved["images"] == 2
    assert cfg.to_dict() == before
    text = report([result])
    assert "mIoU       45.00" in text and "blue    0.00       -" in text


@pytest.mark.skipif(memory.glibc() is None, reason="the C library is not glibc")
def test_on_a_cpu_memory_is_kept_while_it_predicts(world):
    """Freed memory is reused without page faults during prediction, and returned afterwards."""
    size = 48 << 20  # bytes; more than glibc keeps by default

    def fault_shares() -> list[float]:
        shares = []
        for _ in range(4):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            np.full(size, 1, np.uint8)
            pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
            shares.append(pages * resource.getpagesize() / size)
        return shares

    kept = []

    def watch(module, inputs):
        if isinstance(module, ThePixels):
            kept.extend(fault_shares())

    handle = register_module_forward_pre_hook(watch)
    cfg, checkpoint = world
    evaluate(cfg, checkpoint, SCORE, device="cpu")
    handle.remove()
    assert min(kept) < 0.01
    # The memory is returned afterwards. A huge page, where the system uses them, is one fault.
    assert max(fault_shares()) > 1 / 1024


def test_predictions_as_train_ids_and_as_pictures(world, tmp_path):
    cfg, checkpoint = world
    raw, formatted, shown = (tmp_path / name for name in ("raw", "formatted", "shown"))
    outputs = Outputs(folders=(raw, formatted), show_dir=shown, opacity=0.5)
    result = evaluate(cfg, checkpoint, outputs, device="cpu")
    assert result["images"] == 2 and "summary" not in result and "file" not in result
    assert files_below(raw) == files_below(formatted) == files_below(shown)
    assert files_below(raw) == ["im0.png", "im1.png"]
    for i in range(2):
        np.testing.assert_array_equal(read(raw / f"im{i}.png"), painted(i))
    # the palette is the image's colours, so the overlay changes nothing
    np.testing.assert_array_equal(read(shown / "im0.png"), read(tmp_path / "images" / "im0.png"))
    assert files_below(checkpoint.parent) == ["iter_7.pth"]


def test_labels_are_not_needed_for_predictions(world, tmp_path):
    cfg, checkpoint = world
    shutil.rmtree(tmp_path / "labels")
    evaluate(cfg, checkpoint, Outputs(folders=(tmp_path / "raw",)), device="cpu")
    assert files_below(tmp_path / "raw") == ["im0.png", "im1.png"]


def test_scoring_without_labels_names_the_ways_out(world):
    cfg, checkpoint = world
    del cfg.test_dataloader.dataset.data_prefix["seg_map_path"]
    with pytest.raises(InputError, match=r"no labels.*--format-only or --out"):
        evaluate(cfg, checkpoint, SCORE, device="cpu")


def test_size_of_the_label_counts_not_that_of_the_network(world):
    cfg, checkpoint = world
    cfg.test_dataloader.dataset.pipeline[1].scale = (32, 16)  # enlarged: colours blur at edges
    result = evaluate(cfg, checkpoint, SCORE, device="cpu")
    assert result["summary"] == pytest.approx(SCORES, abs=5)


def test_the_teacher(world, tmp_path):
    cfg, checkpoint = world
    with pytest.raises(InputError, match="iter_7.pth holds no teacher"):
        evaluate(cfg, checkpoint, SCORE, role="teacher", device="cpu")
    both = prefixed("model", weights()) | prefixed("ema_model", weights(favourite=0))
    torch.save(both, checkpoint)
    cfg.model = plain_model()
    result = evaluate(cfg, checkpoint, SCORE, role="teacher", device="cpu")
    # all red: 12 of 15 labelled cells, green missed, blue nowhere
    assert result["summary"] == {"aAcc": 80.0, "mIoU": 40.0, "mAcc": 50.0, "mIoU_gt": 40.0}
    assert result["file"].endswith("iter_7_baseseg_teacher_eval.json")


def test_work_dir_takes_the_scores(world, tmp_path):
    cfg, checkpoint = world
    result = evaluate(cfg, checkpoint, SCORE, device="cpu", work_dir=tmp_path / "elsewhere")
    assert result["file"] == str(tmp_path / "elsewhere" / "iter_7_baseseg_eval.json")
    assert files_below(checkpoint.parent) == ["iter_7.pth"]


def test_an_unwritable_folder_is_reported_before_predicting(world, tmp_path):
    cfg, checkpoint = world
    (tmp_path / "a_file").write_text("")
    (tmp_path / "images" / "im0.png").write_text("no image: predicting it is an error")
    with pytest.raises(InputError, match=r"cannot write to .*a_file.*--work-dir"):
        evaluate(cfg, checkpoint, SCORE, device="cpu", work_dir=tmp_path / "a_file")


@pytest.mark.parametrize("own_pipeline", [False, True])
def test_scales_and_flips(world, own_pipeline):
    cfg, checkpoint = world
    if own_pipeline:
        cfg.tta_model = {"type": "SegTTAModel"}
        flips = [{"type": "RandomFlip", "prob": prob} for prob in (0.0, 1.0)]
        cfg.tta_pipeline = [
            {"type": "LoadImageFromFile"},
            {
                "type": "TestTimeAug",
                "transforms": [flips, [{"type": "LoadAnnotations"}], [{"type": "PackSegInputs"}]],
            },
        ]
    result = evaluate(cfg, checkpoint, SCORE, aug_test=True, device="cpu")
    assert result["aug_test"] and result["file"].endswith("_aug_eval.json")
    exact = 1e-6 if own_pipeline else 5  # flips alone change nothing
    assert result["summary"] == pytest.approx(SCORES, abs=exact)


def test_scales_and_flips_without_labels(world, tmp_path):
    cfg, checkpoint = world
    shutil.rmtree(tmp_path / "labels")
    outputs = Outputs(folders=(tmp_path / "raw",))
    evaluate(cfg, checkpoint, outputs, aug_test=True, device="cpu")
    assert files_below(tmp_path / "raw") == ["im0.png", "im1.png"]


def test_what_the_config_must_have(world):
    cfg, checkpoint = world
    cfg.test_evaluator = {"type": "DumpResults", "out_file_path": "x.pkl"}
    with pytest.raises(InputError, match="must be an IoUMetric"):
        evaluate(cfg, checkpoint, SCORE, device="cpu")
    cfg.pop("test_dataloader")
    with pytest.raises(InputError, match="no test_dataloader"):
        evaluate(cfg, checkpoint, SCORE, device="cpu")
    cfg.pop("model")
    with pytest.raises(InputError, match="no model"):
        init_model(cfg, checkpoint, torch.device("cpu"))


def test_opacity_and_device_are_checked():
    with pytest.raises(InputError, match="opacity"):
        Outputs(opacity=2.0)
    with pytest.raises(InputError, match="choose from auto, cpu, cuda"):
        select_device("tpu")
    if not torch.cuda.is_available():
        assert select_device("auto").type == "cpu"
        with pytest.raises(InputError, match="use --device cpu"):
            select_device("cuda")


def test_a_checkpoint_of_another_network_is_refused(world):
    cfg, checkpoint = world
    cfg.model.segmentor.decode_head.num_classes = 4
    with pytest.raises(InputError, match=r"iter_7.pth does not fit.*2 of another shape"):
        evaluate(cfg, checkpoint, SCORE, device="cpu")
