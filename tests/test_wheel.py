"""Check that ``pip install .`` installs only the package, and that it predicts anywhere."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[1]
NETWORK = {
    "type": "EncoderDecoder",
    "backbone": {"type": "ResNetV1c", "depth": 18},
    "decode_head": {
        "type": "DLV2Head",
        "in_channels": 512,
        "in_index": 3,
        "num_classes": 19,
        "dilations": (6, 12),
    },
}
CONFIG = {
    "default_scope": "mmseg",
    "model": NETWORK
    | {
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
        }
    },
    "test_dataloader": {
        "dataset": {
            "type": "CityscapesDataset",
            "pipeline": [
                {"type": "LoadImageFromFile"},
                {"type": "Resize", "scale": (64, 32), "keep_ratio": True},
                {"type": "PackSegInputs"},
            ],
        }
    },
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy of the project, because building leaves files in the folder."""
    source = tmp_path_factory.mktemp("source")
    for path in ROOT.glob("*"):
        if path.is_file():
            shutil.copy(path, source)
    for name in ("mmseg", "tools", "tests", "demo", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", source, "--no-deps", "--no-build-isolation", "--no-index", "-w", out)
    return next(out.glob("*.whl"))


def pip(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", *map(str, arguments)], check=True)


def test_wheel_holds_the_typed_package_and_nothing_else(wheel):
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in files} == {"mmseg", "sepico_mmseg"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "mmseg").rglob("*.py")}
    assert {name for name in files if name.startswith("mmseg/")} == modules | {"mmseg/py.typed"}


def test_installed_wheel_predicts_in_another_folder(wheel, tmp_path):
    Config(CONFIG).dump(tmp_path / "config.json")
    torch.manual_seed(0)
    torch.save(MODELS.build(NETWORK).state_dict(), tmp_path / "checkpoint.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "street.png")

    # Installing torch into the empty environment would take minutes and a network, so a .pth file
    # adds the packages of the current one, without an editable installation of mmseg.
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))

    example = re.search(r"```python\n(.+?)```", (ROOT / "docs" / "install.md").read_text(), re.S)[1]
    script = example.replace("street.jpg", "street.png").replace("auto", "cpu") + (
        "import mmseg, numpy\nnumpy.save('classes.npy', classes)\nprint(mmseg.__file__)\n"
    )
    run = [python, "-I", "-c", script]
    result = subprocess.run(run, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True)
    assert result.stdout.splitlines()[-1] == str(site / "mmseg" / "__init__.py")
    model = init_model(str(tmp_path / "config.json"), str(tmp_path / "checkpoint.pth"), "cpu")
    here = inference_model(model, str(tmp_path / "street.png")).pred_sem_seg.data[0]
    np.testing.assert_array_equal(np.load(tmp_path / "classes.npy"), here)
    assert here.shape == (40, 80)
    assert len(here.unique()) > 1
