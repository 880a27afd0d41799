import errno
import os
import shutil
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets.image_files import read_image, read_label
from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.jobs import map_ahead
from tests.apis.color_world import (
    COLORS,
    PAINTED,
    ThePixels,
    method_model,
    plain_model,
    prefixed,
    weights,
    write_world,
)
from tools.prediction.predict import PredictionFiles, predict
from tools.prediction.videos import open_video, write_video

SCALE = 16
ALL = ("ids", "color", "overlay", "confidence")
CONFIDENCE = 255 * np.exp(1) / (np.exp(1) + 2)  # of one of the colours: softmax of logits 1, 0, 0


def block(index):
    """Return the expected prediction for image ``index`` of the colour world."""
    return np.kron(np.array(PAINTED[index], np.uint8), np.ones((SCALE, SCALE), np.uint8))


def middles(picture):
    """Return the middle pixel of every cell, which interpolation does not change."""
    return picture[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


@pytest.fixture
def cfg(tmp_path):
    torch.save(
        prefixed("model", weights()) | prefixed("ema_model", weights(favourite=2)),
        tmp_path / "best.pth",
    )
    return write_world(tmp_path, method_model(), SCALE)


@pytest.fixture
def run(cfg, tmp_path):
    """Return a function that predicts into ``out`` with the network of the colour world."""

    def predict_to_out(*inputs, kinds=ALL, **options):
        files = PredictionFiles(tmp_path / "out", kinds)
        names = [str(tmp_path / name) for name in inputs]
        return predict(cfg, tmp_path / "best.pth", names, files, device="cpu", **options)

    return predict_to_out


@pytest.mark.parametrize("batch_size", [1, 2])
def test_all_kinds_of_a_folder(run, tmp_path, batch_size):
    report = run("images", batch_size=batch_size)
    assert (report.images, report.videos, report.problems) == (2, 0, [])
    for i in range(2):
        name = f"im{i}.png"
        ids = read_label(str(tmp_path / "out" / "ids" / name))
        assert ids.shape == (2 * SCALE, 4 * SCALE)
        np.testing.assert_array_equal(middles(ids), PAINTED[i])
        color = read_image(str(tmp_path / "out" / "color" / name))[..., ::-1]
        np.testing.assert_array_equal(color, COLORS[ids])
        image = read_image(str(tmp_path / "images" / name))[..., ::-1]
        mixed = read_image(str(tmp_path / "out" / "overlay" / name))[..., ::-1]
        np.testing.assert_allclose(mixed, (image / 2 + color / 2), atol=0.51)
        confidence = read_label(str(tmp_path / "out" / "confidence" / name))
        np.testing.assert_allclose(confidence[0, 0], CONFIDENCE, atol=0.51)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 8


def test_unreadable_images_do_not_stop_the_others(run, tmp_path):
    (tmp_path / "images" / "im00.png").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "images" / "thin.png"), np.zeros((1, 3000, 3), np.uint8))
    report = run("images", kinds=("ids",))
    assert report.images == 2
    assert [problem.removeprefix(f"{tmp_path}/images/") for problem in report.problems] == [
        "im00.png cannot be decoded as an image: copy or write it again",
        "thin.png: 3000x1 pixels cannot be resized for the network",
    ]


def test_the_teacher(run, cfg, tmp_path):
    cfg.model = plain_model()
    run("images/im1.png", kinds=("ids",), role="teacher")
    assert (read_label(str(tmp_path / "out" / "ids" / "im1.png")) == 2).all()


@MODELS.register_module()
class Shrunken(ThePixels):
    """A backbone whose maps are smaller than its input."""

    def forward(self, inputs):
        return [torch.nn.functional.conv2d(inputs, torch.ones(3, 3, 60, 60))]


def test_images_too_small_for_a_kernel(run, cfg, tmp_path):
    cfg.model.segmentor.backbone.type = "Shrunken"
    report = run("images", kinds=("ids",), batch_size=2)
    assert report.problems == [
        f"{tmp_path}/images/im{i}.png: 16x8 pixels are too few for the network" for i in range(2)
    ]


def test_a_video(run, tmp_path):
    clips = tmp_path / "clips"
    with write_video(clips / "deep" / "clip.mp4", fps=5) as write:
        for i in (0, 1, 0):
            write(COLORS[block(i)])
    (clips / "noise.mp4").write_bytes(b"no video")
    report = run("clips", batch_size=2)
    assert (report.images, report.videos) == (0, 1)
    (problem,) = report.problems
    assert problem.startswith(f"{clips}/noise.mp4 cannot be decoded as a video")
    out = tmp_path / "out"
    names = [f"{i:06d}.png" for i in range(3)]
    for kind in ("ids", "confidence"):
        assert sorted(p.name for p in (out / kind / "deep" / "clip").iterdir()) == names
    for i, name in zip((0, 1, 0), names, strict=True):
        ids = read_label(str(out / "ids" / "deep" / "clip" / name))
        np.testing.assert_array_equal(middles(ids), PAINTED[i])
    video = open_video(out / "color" / "deep" / "clip.mp4")
    assert (video.fps, video.num_frames) == (5, 3)
    first = next(video.frames())[..., ::-1]
    np.testing.assert_allclose(middles(first), COLORS[PAINTED[0]], atol=40)
    assert [p.name for p in (out / "overlay" / "deep").iterdir()] == ["clip.mp4"]


def test_colours_are_made_up_without_a_palette(run, cfg, tmp_path):
    cfg.test_dataloader.dataset.pop("metainfo")
    run("images", kinds=("color",))
    color = read_image(str(tmp_path / "out" / "color" / "im0.png"))
    assert len(np.unique(middles(color).reshape(-1, 3), axis=0)) == 2


@pytest.mark.parametrize(
    "inputs, options, message",
    [
        (["nowhere"], {}, "there is no such file"),
        (["images"], {"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        (["images"], {"max_pixels": 0}, "--max-pixels 0: must be between 1 and 1073741824"),
        (["images"], {"kinds": ("ids", "video")}, r"--what \['video'\]: choose from ids, color"),
        (["images", "labels"], {}, "results of one name, im0"),
    ],
)
def test_mistakes_are_found_before_the_model_is_built(run, tmp_path, inputs, options, message):
    (tmp_path / "best.pth").write_text("no checkpoint: building the model is an error")
    with pytest.raises(InputError, match=message):
        run(*inputs, **options)
    assert not (tmp_path / "out" / "ids").exists()


def test_invalid_or_overwriting_out_dirs_are_refused(cfg, tmp_path):
    (tmp_path / "best.pth").write_text("no checkpoint: building the model is an error")
    (tmp_path / "ids").symlink_to(tmp_path / "images")
    cases = {
        tmp_path / "best.pth": "cannot write to .*: choose another folder with --out-dir",
        tmp_path: "ids/im0.png would overwrite an input",
    }
    for out_dir, message in cases.items():
        with pytest.raises(InputError, match=message):
            predict(
                cfg,
                tmp_path / "best.pth",
                [str(Path(tmp_path, "ids", "im0.png"))],
                PredictionFiles(out_dir, ("ids",)),
            )


def test_class_weights_are_used_and_reported_on_request(run, cfg):
    assert run("images").class_weight is None
    cfg.model.segmentor.test_cfg = {"mode": "whole", "class_weight": [1.0, 1.0, 9.0]}
    assert run("images").class_weight is False
    assert run("images", class_weights="on").class_weight is True


def png_head(width, height):
    """Return a PNG whose header gives this size, with one byte of pixel data."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        parts += [struct.pack(">I", len(data)), kind, data, checksum]
    return b"".join(parts)


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**14, 2**14 + 1), (1, 2**31 - 1)])
def test_an_image_too_large_is_refused_by_its_header(run, tmp_path, size):
    (tmp_path / "images" / "a.png").write_bytes(png_head(*size))
    report = run("images", kinds=("ids",))
    assert report.images == 2
    (problem,) = report.problems
    assert problem.startswith(f"{tmp_path}/images/a.png ")
    assert f"{2**28}" in problem and "--max-pixels" in problem


def test_the_limit_of_pixels_is_an_option(run, tmp_path):
    report = run("images", kinds=("ids",), max_pixels=2 * 4 * SCALE**2 - 1)
    assert (report.images, len(report.problems)) == (0, 2)
    assert run("images", kinds=("ids",), max_pixels=2 * 4 * SCALE**2).images == 2
    assert run("images", kinds=("ids",)).images == 2


@pytest.mark.parametrize(("length", "images"), [(254, 3), (255, 2)])
def test_names_as_long_as_the_system_takes(run, tmp_path, length, images):
    """A name of 255 characters leaves no room for the suffix of its prediction."""
    name = "n" * (length - 4) + ".png" if length < 255 else "n" * 255
    shutil.copy(tmp_path / "images" / "im0.png", tmp_path / "images" / name)
    report = run("images", f"images/{name}")
    assert report.images == images
    assert [p.endswith("cannot be written: File name too long") for p in report.problems] == [
        True
    ] * (3 - images)


def test_a_file_that_cannot_be_written_does_not_stop_the_others(run, tmp_path):
    (tmp_path / "out" / "ids" / "im0.png").mkdir(parents=True)
    report = run("images", kinds=("ids",))
    target = tmp_path / "out" / "ids" / "im0.png"
    assert report.images == 1
    (problem,) = report.problems
    assert problem.startswith(f"{tmp_path}/images/im0.png: ") and "Is a directory" in problem
    assert list(target.parent.glob(".*")) == []


@pytest.mark.parametrize("kind", ["ids", "color"])
def test_a_full_disk_ends_with_the_name_of_the_file(run, tmp_path, monkeypatch, kind):
    def save(self, fp, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", save)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/out/{kind}/im0.png'"):
        run("images", kinds=(kind,))
    assert list((tmp_path / "out" / kind).iterdir()) == []


def test_pipes_and_devices_are_never_opened(run, tmp_path):
    os.mkfifo(tmp_path / "images" / "pipe.png")
    report = run("images", "images/pipe.png", "/dev/zero", kinds=("ids",))
    assert report.images == 2
    assert [problem.split(":")[0] for problem in report.problems] == [
        f"{tmp_path}/images/pipe.png cannot be read",
        "/dev/zero cannot be read",
    ]


def test_a_large_image_is_alone_in_memory():
    """No later image is read until a large one has been written."""
    at_work, together = set(), []

    def work(weight):
        at_work.add(weight)
        together.append(set(at_work))
        return weight

    with ThreadPoolExecutor(4) as pool:
        for weight in map_ahead(work, [1, 2, 90, 3, 4], pool, 8, lambda item: item, 10):
            at_work.discard(weight)
    assert all(len(each) == 1 or 90 not in each or max(each - {90}) < 3 for each in together)
