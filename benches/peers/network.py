"""What the peers share: a photo to pixels, pixels to names, as Beagle's profile `imagenet` has it.

Preprocessing and the ONNX file are the same for all, so what differs is the server.
"""

import io
import os
import pathlib

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).parents[2]
LABELS = (ROOT / "assets/labels/imagenet.txt").read_text().splitlines()
# Means of the blue, green and red levels of Keras' ResNet50 (keras.applications.imagenet_utils).
MEANS = np.array([103.939, 116.779, 123.68], np.float32)


def pixels(file):
    """The bytes of a photo to 224 x 224 levels: the short side to 256, the middle of it."""
    image = Image.open(io.BytesIO(file))
    image = ImageOps.exif_transpose(image).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
    left, top = ((side - 224) // 2 for side in image.size)
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


class Network:
    """ONNX Runtime on the exported file, which ends in probabilities, with so many threads."""

    def __init__(self, threads):
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            os.environ["PEERS_ONNX"], settings, providers=["CPUExecutionProvider"]
        )
        self.name = self.session.get_inputs()[0].name
        self.run(np.zeros((1, 224, 224, 3), np.uint8))

    def run(self, levels):
        given = (levels[:, :, :, ::-1].astype(np.float32) - MEANS).transpose(0, 3, 1, 2)
        return self.session.run(None, {self.name: np.ascontiguousarray(given)})[0]


def answer(probabilities):
    best = np.argsort(-probabilities)[:5]
    predictions = [{"label": LABELS[one], "probability": float(probabilities[one])} for one in best]
    return {"success": True, "predictions": predictions}
