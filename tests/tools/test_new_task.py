"""Set up tasks on folders of images in the formats that people have, and train on them."""

import json

import numpy as np
import pytest
import timm
from PIL import Image

from mmseg.utils.config import load_config
from tests.tools.failing import error_of
from tools.new_task import main
from tools.tasks.inspect import Wishes, inspect
from tools.test import main as evaluate
from tools.train import main as train

COLORS = {"sky": (128, 128, 128), "road": (128, 64, 128), "tree": (128, 128, 0), "void": (0, 0, 0)}
QUICK = [
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "train_dataloader.num_workers=0",
    "val_dataloader.num_workers=0",
    "model.start_contrast_iter=1",
]


def colors(label):
    return np.array([*COLORS.values()], np.uint8)[label]


def red(label):
    pixels = np.zeros((*label.shape, 3), np.uint8)
    pixels[..., 0] = np.array([7, 8, 21, 0], np.uint8)[label]
    return pixels


def mask(label):
    return np.where(label == 2, 255, 0).astype(np.uint8)


def scenes(count, size=(64, 96)):
    """Draw label maps of a sky, a road, a tree and a rim without class."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        label = np.zeros(size, np.uint8)
        label[size[0] // 2 :] = 1
        y, x = rng.integers(8, 32, 2)
        label[y : y + 24, x : x + 24] = 2
        label[:4] = 3
        yield label


def counted(label):
    return [int((label == index).sum()) for index in range(3)]


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Return a function that draws ``src`` and ``tgt`` and runs the command."""
    monkeypatch.chdir(tmp_path)

    def run(draw, *arguments, name="mine"):
        write_folders(tmp_path, draw)
        main(["src", "tgt", "--name", name, "--network", "toy", "--nproc", "1", *arguments])
        return load_config(f"{name}.py")

    return run


def write_folders(root, draw):
    for split, names in {"train": "ab", "val": "c"}.items():
        for name, label in zip(names, scenes(len(names)), strict=True):
            for domain, image, label_map in (
                ("src", f"images/{name}.JPG", f"gt/{name}_L.png"),
                (
                    "tgt",
                    f"leftImg8bit/{split}/x/{name}_leftImg8bit.png",
                    f"gtFine/{split}/x/{name}",
                ),
            ):
                pixels = colors(label) // 2 + 60 * (domain == "tgt")
                paths = root / domain / image, root / domain / label_map
                for path in paths:
                    path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(paths[0])
                if domain == "src":
                    Image.fromarray(draw(label)).save(paths[1])
                elif split == "val":
                    Image.fromarray(draw(label)).save(f"{paths[1]}_gtFine_labels.png")


def test_colours_with_a_list_are_trained_and_tested(task, tmp_path, capsys):
    (tmp_path / "src").mkdir()
    lines = [f"{r} {g} {b}\t\t{name}\n" for name, (r, g, b) in COLORS.items()]
    (tmp_path / "src/label_colors.txt").write_text("".join(lines))
    cfg = task(colors)
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == [
        "source   src/images (3 images), 96x64",
        "labels   src/gt/**/*_L.png, classes are colours (3 looked at)",
        "target   tgt/leftImg8bit/train/x (2 images), 96x64",
        "scores   tgt/leftImg8bit/val/x (1 images)",
    ]
    # The first label map is drawn twice.
    counts = [2 * first + second for first, second in zip(*map(counted, scenes(2)), strict=True)]
    sky, road, tree = (f"{100 * count / sum(counts):.2f} %" for count in counts)
    assert printed[4:8] == [
        "classes  3, their names: src/label_colors.txt",
        f"           0 sky   {sky:>8}  drawn as 128 128 128",
        f"           1 road  {road:>8}  drawn as 128 64 128",
        f"           2 tree  {tree:>8}  drawn as 128 128 0",
    ]
    data = cfg.train_dataloader.dataset
    assert data.source.metainfo.classes == ["sky", "road", "tree"]
    assert data.source.labels == cfg.val_dataloader.dataset.labels == "colors"
    assert data.source.ignore == ["0 0 0"]
    assert "seg_map_path" not in data.target.data_prefix
    assert cfg.model.crop_size == cfg.model.data_preprocessor.size == (64, 64)
    assert cfg.model.start_contrast_iter == 300
    stored = json.loads((tmp_path / "src/sample_class_stats.json").read_text())
    assert [stored[0][c] for c in "012"] == counted(next(scenes(1)))
    train(["mine.py", "--device", "cpu", "--cfg-options", *QUICK])
    workers = ["--cfg-options", "test_dataloader.num_workers=0"]
    evaluate(
        ["mine.py", "work_dirs/mine/iter_2.pth", "--eval", "mIoU", "--device", "cpu", *workers]
    )
    (scores,) = (tmp_path / "work_dirs/mine").glob("*_eval.json")
    result = json.loads(scores.read_text())
    assert list(result["per_class"]) == ["sky", "road", "tree"]
    assert 0 < result["summary"]["aAcc"] < 100


def test_a_network_of_timm_gets_heads_that_fit(task, tmp_path, capsys):
    cfg = task(colors, "--backbone", "resnet18", "--weights", "my.pth", "--method", "mic")
    segmentor = cfg.model.segmentor
    weights = {"type": "Pretrained", "checkpoint": "my.pth"}
    names = {"type": "TIMMBackbone", "model_name": "resnet18", "out_indices": (1, 2, 3, 4)}
    assert segmentor.backbone == names | {"init_cfg": weights}
    heads = segmentor.decode_head, segmentor.auxiliary_head
    assert [head.in_channels for head in heads] == [(64, 128, 256, 512)] * 2
    out = capsys.readouterr().out
    assert "training MIC(DAFormer) with daformer_sepaspp_proj on resnet18: " in out
    assert "note: there are no pretrained weights at my.pth" in out

    vit = task(colors, "--backbone", "eva02_tiny_patch14_224", "--network", "hrda_proj", name="vit")
    segmentor = vit.model.segmentor
    assert segmentor.backbone == {"type": "TIMMViT", "model_name": "eva02_tiny_patch14_224"}
    head = segmentor.decode_head
    for part in (head.head, head.scale_attention, segmentor.auxiliary_head):
        assert part.in_channels == (192,) * 4
    assert vit.model.data_preprocessor.mean == (122.771, 116.746, 104.094)

    own = task(colors, "--network", "eva02-l_proj", name="own")
    segmentor = own.model.segmentor
    assert segmentor.backbone.model_name == "eva02_large_patch14_224"
    assert segmentor.decode_head.num_classes == len(cfg.metainfo.classes)
    assert segmentor.decode_head.in_channels == (1024,) * 4
    assert segmentor.test_cfg.crop_size == own.model.data_preprocessor.size
    assert own.model.data_preprocessor.mean == (122.77, 116.75, 104.09)
    assert own.optim_wrapper.optimizer.lr == 3e-6

    names = ["src", "tgt", "--name", "other", "--backbone"]
    assert error_of(main, *names, "nonet") == f"timm {timm.__version__} has no model named 'nonet'"
    assert "has maps with strides [16, 32, 64]" in error_of(main, *names, "levit_128s")
    with pytest.raises(SystemExit):
        main([*names[:4], "--weights", "my.pth"])
    assert "--weights needs --backbone" in capsys.readouterr().err


def test_values_in_the_red_channel_get_names(task, capsys):
    cfg = task(red, "--classes", "rest", "sky", "road", "tree", "--method", "mic")
    source, val = cfg.train_dataloader.dataset.source, cfg.val_dataloader.dataset
    assert source.metainfo.classes == ["rest", "sky", "road", "tree"]
    assert source.labels == val.labels == "red"
    assert source.label_map == val.label_map == {"0": 0, "7": 1, "8": 2, "21": 3}
    assert cfg.model.segmentor.decode_head.num_classes == 4
    assert cfg.model.terms.mic.block_size == 4
    assert cfg.model.terms.feature_distance.classes is None
    unsure = "unsure: which value is which class: 0 rest, 7 sky, 8 road, 21 tree"
    assert unsure in capsys.readouterr().out


def test_one_class_gets_a_background(task, capsys):
    cfg = task(mask, "--classes", "weed", "--method", "source_only")
    data = cfg.train_dataloader.dataset
    assert data.source.metainfo.classes == ["background", "weed"]
    assert data.source.label_map == {"0": 0, "255": 1}
    assert data.target is None
    # 576 of 6144 pixels are weed. So that the background is drawn a tenth as often, the difference
    # of the shares, 0.8125, is divided by log(10).
    assert data.rare_class_sampling.class_temp == 0.35
    printed = capsys.readouterr().out
    assert "unsure: 0 is read as background and 255 as weed (label_map)" in printed


def test_two_classes_of_one_bit_without_val_are_trained(task, tmp_path, capsys):
    write_folders(tmp_path, lambda label: label == 2)
    for path in (tmp_path / "tgt/gtFine/val/x").iterdir():
        path.unlink()
    main(["src", "tgt/leftImg8bit/val", "--name", "bits", "--network", "toy", "--nproc", "1"])
    assert "tgt/leftImg8bit/val has no split val with labels, so there are no scores" in (
        capsys.readouterr().out
    )
    cfg = load_config("bits.py")
    assert cfg.validate is False
    assert cfg.train_dataloader.dataset.source.get("label_map") is None
    train(["bits.py", "--device", "cpu", "--cfg-options", *(o for o in QUICK if "val_d" not in o)])
    assert (tmp_path / "work_dirs/bits/iter_2.pth").is_file()


def test_labels_to_validate_with_are_read_by_names_of_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path, lambda label: label)
    (tmp_path / "src/labels.txt").write_text("0 Sky\n1 Road\n2 Tree\n3 Rim\n")
    content = {
        "classes": ["car", "road", "sky"],
        "label_map": {"0": 2, "1": "road", "2": 0, "3": 0},
    }
    (tmp_path / "tgt/classes.json").write_text(json.dumps(content))
    found = inspect(Wishes("src", "tgt", nproc=1))
    assert found.task.val_coding == {
        "label_map": {"0": "Sky", "1": "Road"},
        "ignore": ["2", "3"],
    }
    assert found.doubts == [
        "label maps of tgt/leftImg8bit/val/x (1 images) are read by the names of the classes; they "
        "have no Rim, Tree"
    ]


def test_what_is_there_is_kept_and_what_is_unclear_is_told(task, tmp_path):
    write_folders(tmp_path, lambda label: label)
    (tmp_path / "mine.py").write_text("x = 1")
    command = ["src", "tgt", "--nproc", "1", "--name"]
    assert "mine.py exists: remove it, or choose another" in error_of(main, *command, "mine")
    names = ["--classes", "a", "b", "c"]
    message = error_of(main, *command, "other", *names)
    assert "3 names of classes, but label maps hold 4 values (0, 1, 2, 3)" in message
    assert "no label maps fit the images" in error_of(main, "tgt/leftImg8bit", *command[1:], "x")
    message = error_of(main, *command, "other", "--network", "sepaspp")
    assert "--method sepico needs a network with a projection: --network toy" in message
    statistics = tmp_path / "src/sample_class_stats.json"
    statistics.write_text("[]")
    assert f"{statistics.relative_to(tmp_path)} counts other classes" in error_of(
        main, *command, "other"
    )
    assert statistics.read_text() == "[]"
    assert {path.name for path in tmp_path.iterdir()} == {"src", "tgt", "mine.py"}
