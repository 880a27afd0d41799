"""Export tiny networks of each family, and run the files."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from mmengine.model import BaseModule
from PIL import Image
from torch import nn

from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS
from tests.tools.failing import error_of
from tools.export import main
from tools.exporting.export import drawn_images

ROOT = Path(__file__).parents[2]
PREPROCESSOR = {"type": "SegDataPreProcessor", "mean": [90.0, 100, 110], "std": [50.0, 60, 70]}
PALETTE = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
CLASSES = ["road", "car", "sky"]
DLV2 = {"type": "DLV2Head", "in_channels": 8, "in_index": 0, "num_classes": 3, "dilations": (2,)}
DAFORMER = {"type": "DAFormerHead", "in_channels": (8,), "in_index": (0,), "embed_dims": 8}
DAFORMER |= {"channels": 8, "dilations": (1, 2), "num_classes": 3, "norm_cfg": {"type": "BN"}}
MIT = {"type": "MixVisionTransformer", "embed_dims": (8, 16), "depths": (1, 1)}
MIT |= {"num_heads": (1, 2), "sr_ratios": (2, 1), "out_indices": (0, 1)}
RESNET = {"type": "ResNetV1c", "depth": 18, "num_stages": 1, "out_indices": (0,)}
RESNET |= {"strides": (1,), "dilations": (1,)}


@MODELS.register_module()
class PatchEmbedding(BaseModule):
    """A backbone of one strided convolution."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(3, 8, 7, 4, padding=3)

    def forward(self, inputs):
        return [self.proj(inputs)]


@MODELS.register_module()
class BrighterBackbone(PatchEmbedding):
    """A backbone that looks at the values of the image, which no graph can do."""

    def forward(self, inputs):
        return super().forward(inputs if inputs.mean() > 0 else -inputs)


HRDA = {
    "type": "HRDAEncoderDecoder",
    "backbone": {"type": "PatchEmbedding"},
    "decode_head": {"type": "HRDAHead", "head": DLV2, "scale_attention": DLV2},
    "detail_size": (32, 48),
    "test_cfg": {"mode": "slide", "crop_size": (64, 64), "stride": (32, 32)},
}


@pytest.fixture
def paths(tmp_path):
    """Return a function that writes config and checkpoint of a segmentor, as a student."""

    def write(segmentor: dict, **settings) -> list[str]:
        model = {"type": "SourceOnly", "segmentor": segmentor, "data_preprocessor": PREPROCESSOR}
        cfg = {"model": model, "custom_imports": {"imports": [__name__]}, **settings}
        text = "".join(f"{name} = {value!r}\n" for name, value in cfg.items())
        (tmp_path / "config.py").write_text(text)
        torch.manual_seed(0)
        network = MODELS.build(segmentor)
        for parameter in network.decode_head.parameters():
            parameter.data.normal_()
        state = {f"model.{name}": value for name, value in network.state_dict().items()}
        meta = {"dataset_meta": {"classes": CLASSES, "palette": PALETTE}}
        torch.save({"state_dict": state, "meta": meta}, tmp_path / "best.pth")
        return [str(tmp_path / "config.py"), str(tmp_path / "best.pth")]

    return write


@pytest.mark.parametrize(
    "segmentor",
    [
        {"type": "EncoderDecoder", "backbone": RESNET, "decode_head": DLV2 | {"in_channels": 64}},
        HRDA,
    ],
    ids=["dlv2", "hrda"],
)
def test_torch_file_for_any_size(paths, segmentor, tmp_path, capsys):
    out = tmp_path / "out.pt2"
    main([*paths(segmentor), str(out)])
    sizes = ("2 x 128x128", "1 x 165x218", "1 x 229x131")
    *lines, wrote = capsys.readouterr().out.splitlines()
    for size, line in zip(sizes, lines, strict=False):
        share = re.fullmatch(rf"{size} pixels: (.*) % have the class that torch predicts", line)
        assert float(share[1]) > 99.98, line  # but for pixels on which two classes tie
    notes = []
    if segmentor is HRDA:
        notes.append("note: the config predicts in windows, the exported network whole images")
    assert lines[len(sizes) :] == notes
    assert wrote == f"wrote {out}: {out.stat().st_size / 1e6:.1f} MB"


def test_onnx_file_segments_a_photo_without_mmseg(paths, tmp_path, capsys):
    resize = {"type": "Resize", "scale": (240, 240), "keep_ratio": True}
    pipeline = [{"type": "LoadImageFromFile"}, resize, {"type": "PackSegInputs"}]
    dataset = {"type": "FolderDataset", "pipeline": pipeline}
    segmentor = {"type": "EncoderDecoder", "backbone": MIT, "decode_head": DAFORMER}
    config, checkpoint = paths(segmentor, test_dataloader={"dataset": dataset})
    network, photo, out = (str(tmp_path / name) for name in ("net.onnx", "photo.png", "out.png"))
    main([config, checkpoint, network])
    # onnxruntime reuses memory of sizes with one name, which must not be written for other sizes.
    inner = [v for v in onnx.load(network).graph.value_info if v.type.tensor_type.HasField("shape")]
    assert not any(d.dim_param for v in inner for d in v.type.tensor_type.shape.dim)
    assert capsys.readouterr().out.count("pixels: 100.000 %") == 3
    Image.fromarray(drawn_images(1, 160, 120)[0]).save(photo)
    done = subprocess.run(
        [sys.executable, ROOT / "demo" / "run_onnx.py", network, photo, out],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    label = Image.open(out)
    assert label.getpalette() == np.ravel(PALETTE).tolist()
    model = init_model(config, checkpoint, device="cpu")
    expected = inference_model(model, photo).pred_sem_seg.data[0].numpy()
    # Pillow and OpenCV resize a little differently, and the edges of classes are enlarged.
    assert len(np.unique(expected)) > 1
    assert np.mean(np.asarray(label) == expected) > 0.95

    file = onnx.load(network)
    about = {entry.key: entry.value for entry in file.metadata_props}
    assert json.loads(about["classes"]) == CLASSES
    assert json.loads(about["preprocessing"]) == {
        "channel_order": "RGB",
        "value_range": [0, 255],
        "resize": {"width": 240, "height": 240, "keep_ratio": True},
        "mean": [90, 100, 110],
        "std": [50, 60, 70],
        "normalised": "in the graph",
    }
    assert (about["model"], about["checkpoint"]) == ("student", "best.pth")
    dims = file.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3, "height", "width"]


def test_one_size_of_a_timm_network(paths, tmp_path, capsys):
    backbone = {"type": "TIMMBackbone", "model_name": "test_resnet.r160_in1k", "out_indices": (0,)}
    head = DLV2 | {"in_channels": 32}
    segmentor = {"type": "EncoderDecoder", "backbone": backbone, "decode_head": head}
    out = tmp_path / "out.pt2"
    main([*paths(segmentor), str(out), "--size", "64", "80"])
    assert capsys.readouterr().out.startswith("1 x 64x80 pixels: 100.000 %")
    extra = {"metadata.json": ""}
    network = torch.export.load(out, extra_files=extra).module()
    assert json.loads(extra["metadata.json"])["palette"] == PALETTE
    found = network(torch.full((1, 3, 64, 80), 90.0))
    assert found["logits"].shape == (1, 3, 64, 80)
    assert torch.equal(found["classes"], found["logits"].argmax(1).byte())


def test_mistakes_are_one_line(paths, tmp_path, monkeypatch):
    segmentor = {**HRDA, "backbone": {"type": "BrighterBackbone"}}
    start = paths(segmentor)
    (tmp_path / "folder.onnx").mkdir()
    before = {path.name for path in tmp_path.iterdir()}

    def message(*arguments) -> str:
        found = error_of(main, *start, *arguments)
        assert {path.name for path in tmp_path.iterdir()} == before
        return found

    assert message(tmp_path / "out.pth").endswith(
        "out.pth: name a file that ends with .onnx or .pt2"
    )
    assert message(tmp_path / "folder.onnx").endswith("folder.onnx is a folder: name another file")
    assert message("/proc/out.pt2").startswith("cannot write to /proc (")
    assert message(tmp_path / "out.pt2", "--size", "32", "40") == (
        "--size 32 40: the network takes images of at least 32 48"
    )
    assert "holds no teacher" in message(tmp_path / "out.pt2", "--model", "teacher")
    unfit = message(tmp_path / "out.pt2")
    assert unfit.startswith(
        "the network cannot be exported for images of any size; --size H W exports it for one: "
    )
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    assert message(tmp_path / "out.onnx") == "a .onnx file needs packages: pip install onnxscript"
