"""Segment a photo with an exported network: ``python demo/run_onnx.py NET.onnx PHOTO OUT.png``.

It needs nothing of this project, only ``pip install onnxruntime numpy pillow``.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

network, path, out = sys.argv[1:]
session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
photo = image = Image.open(path).convert("RGB")
if resize := json.loads(about["preprocessing"])["resize"]:  # as in training and evaluation
    box = (resize["width"], resize["height"])
    factor = min(max(box) / max(photo.size), min(box) / min(photo.size))
    image = photo.resize([round(side * factor) for side in photo.size])
pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None]  # (1, 3, H, W), 0 to 255
(classes,) = session.run(["classes"], {"image": pixels})  # (1, H, W)
label = Image.fromarray(classes[0].astype(np.uint8), "P")
label.putpalette(np.array(json.loads(about["palette"]), np.uint8).tobytes())
label.resize(photo.size, Image.Resampling.NEAREST).save(out)
