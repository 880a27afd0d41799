"""Formats of exported networks: writing a file, and reading it back to predict with it."""

import importlib.util
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mmseg.utils import InputError

Metadata = Mapping[str, Any]
#: Function from images (B, 3, H, W) float32 to classes (B, H, W).
Predictor = Callable[[Tensor], Tensor]
#: The oldest operators that torch's exporter writes, which most runtimes know.
OPSET = 18
#: An ONNX file is a protobuf message, which has at most 2 GiB.
LARGEST_ONNX = 2**31
METADATA_FILE = "metadata.json"


class Format(NamedTuple):
    """A format of files.

    Attributes:
        packages: packages that it needs.
        checks_sizes: whether calls check all conditions on the sizes that torch met at export.
        write: writes a network with its metadata to a path.
        read: reads the file at a path as a function that predicts.
    """

    packages: tuple[str, ...]
    checks_sizes: bool
    write: Callable[[ExportedProgram, Metadata, Path], None]
    read: Callable[[Path], Predictor]


def write_onnx(program: ExportedProgram, metadata: Metadata, path: Path) -> None:
    """Write an ONNX file with the weights in it, and each entry of the metadata as JSON."""
    size = sum(weight.nbytes for weight in program.state_dict.values())
    if size >= LARGEST_ONNX:
        raise InputError(
            f"the network has {size / 2**30:.1f} GiB, an ONNX file at most 2: write a .pt2 file"
        )
    written = torch.onnx.export(
        program,
        input_names=["image"],
        output_names=["logits", "classes"],
        opset_version=OPSET,
        verbose=False,
    )
    _name_sizes(written.model.graph)
    for name, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        written.model.metadata_props[name] = text
    written.save(path, external_data=False)


def _name_sizes(graph: Any) -> None:
    """Call the sizes of image and outputs batch, height and width; torch numbers them.

    Sizes within the graph are dropped: onnxruntime takes two of one name for equal, which those
    that torch writes for attention with few heads are not, and infers them by itself.
    """
    image = graph.inputs[0].shape
    names = {str(image[axis]): name for axis, name in ((0, "batch"), (2, "height"), (3, "width"))}
    for value in (*graph.inputs, *graph.outputs):
        for axis, size in enumerate(value.shape or ()):
            if not isinstance(size, int):
                value.shape[axis] = re.sub(r"\w+", lambda n: names.get(n[0], n[0]), str(size))
    ends = {id(value) for value in graph.outputs}
    for node in graph:
        for value in node.outputs:
            if id(value) not in ends:
                value.shape = None


def read_onnx(path: Path) -> Predictor:
    """Read an ONNX file with onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["classes"], {"image": images.numpy()})[0])


def write_pt2(program: ExportedProgram, metadata: Metadata, path: Path) -> None:
    """Write a file of torch.export, with the metadata as its extra file ``metadata.json``."""
    torch.export.save(program, path, extra_files={METADATA_FILE: json.dumps(metadata, indent=1)})


def read_pt2(path: Path) -> Predictor:
    """Read a file of torch.export."""
    network = torch.export.load(path).module()
    return lambda images: network(images)["classes"]


#: Formats by the suffixes of their files.
FORMATS = {
    ".onnx": Format(("onnx", "onnxscript", "onnxruntime"), False, write_onnx, read_onnx),
    ".pt2": Format((), True, write_pt2, read_pt2),
}


def format_of(path: str | os.PathLike) -> Format:
    """Choose the format by the suffix of a file to be written.

    Raises:
        InputError: if there is no such format, the path is a folder, or packages are missing.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: name a file that ends with {' or '.join(FORMATS)}")
    if path.is_dir():
        raise InputError(f"{path} is a folder: name another file")
    chosen = FORMATS[path.suffix]
    missing = [name for name in chosen.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"a {path.suffix} file needs packages: pip install {' '.join(missing)}")
    return chosen
