"""A small network unlike ResNet50, run by ONNX Runtime, without a line of Beagle's.

Depthwise separable convolutions, ReLU6 as Clip, an inverted residual, average pooling, a global
mean, 96 x 96 pixels, ten classes, logits. Nobody trained it: its weights are an integer hash of
their place, so that `model_import/tests/any_classifier/mobile.rs` can build the same network and no
weights are committed. Writes what comes out for the sample photos and for a picture of noise to
`mobile.json`.

    pip install numpy onnx onnxruntime pillow
    python mobile.py
"""

import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HERE = pathlib.Path(__file__).parent
SAMPLES = HERE.parent.parent / "assets" / "samples"
SIDE, SHORT_SIDE, CLASSES = 96, 110, 10
NOISE_WIDTH, NOISE_HEIGHT = 150, 110
# torchvision's means and deviations of ImageNet, in levels of 0 to 1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
# Takes off what every photo scores alike, so that each has a class of its own.
SCORES_BIAS = np.array([0, 0.5, 2, 3.5, -1.5, -5, 1, 0.5, 7, 0.5], np.float32)


def noise(seed, count):
    """Integers below 2^32: an integer hash ("lowbias32") of place and seed."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed * 0x85EBCA6B & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


class Network:
    """Nodes and weights as they are added; a weight's seed is how many came before it."""

    def __init__(self):
        self.nodes, self.weights, self.value, self.digest = [], [], "photo", hashlib.sha256()

    def weight(self, name, shape, centre, spread):
        """Uniform in centre +- spread / 2; every step is exact or one rounding to float32."""
        unit = (noise(len(self.weights), int(np.prod(shape))) >> np.uint32(8)).astype(np.float32)
        unit = unit / np.float32(2**24) - np.float32(0.5)
        return self.constant(name, (np.float32(centre) + np.float32(spread) * unit).reshape(shape))

    def constant(self, name, array):
        assert array.dtype == np.float32
        self.digest.update(array.tobytes())
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind, name, *inputs, **attributes):
        self.nodes.append(helper.make_node(kind, [self.value, *inputs], [name], name, **attributes))
        self.value = name

    def convolution(self, name, channels, kernel, spread, stride=1, group=1):
        outputs, inputs = channels
        half = kernel // 2
        weight = self.weight(name + "_kernel", [outputs, inputs // group, kernel, kernel], 0.0, spread)
        bias = self.weight(name + "_bias", [outputs], 0.0, 0.5)
        self.add("Conv", name, weight, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[half] * 4, group=group)

    def norm(self, name, channels):
        parts = [("gamma", 1.0, 1.0), ("beta", 0.25, 0.5), ("mean", 0.0, 0.5), ("variance", 1.0, 1.0)]
        arrays = [self.weight(f"{name}_{part}", [channels], centre, spread) for part, centre, spread in parts]
        self.add("BatchNormalization", name, *arrays, epsilon=np.float32(0.001))

    def relu6(self, name):
        self.add("Clip", name, "zero", "six")


def build():
    net = Network()
    net.convolution("stem", (8, 3), 3, 1.0, stride=2)
    net.norm("stem_norm", 8)
    net.relu6("stem_relu6")
    net.convolution("deep1", (8, 8), 3, 1.5, group=8)
    net.relu6("deep1_relu6")
    net.convolution("flat1", (16, 8), 1, 1.5)
    net.convolution("wide2", (32, 16), 1, 1.25)
    net.relu6("wide2_relu6")
    net.convolution("deep2", (32, 32), 3, 1.5, stride=2, group=32)
    net.relu6("deep2_relu6")
    net.convolution("flat2", (24, 32), 1, 0.75)
    shortcut = net.value
    net.convolution("wide3", (48, 24), 1, 1.0)
    net.norm("wide3_norm", 48)
    net.relu6("wide3_relu6")
    net.convolution("deep3", (48, 48), 3, 1.5, group=48)
    net.relu6("deep3_relu6")
    net.convolution("flat3", (24, 48), 1, 0.5)
    net.add("Add", "sum3", shortcut)
    net.add("AveragePool", "half", kernel_shape=[2, 2], strides=[2, 2])
    net.convolution("head", (64, 24), 1, 1.0)
    net.relu6("head_relu6")
    net.add("ReduceMean", "mean", axes=[2, 3], keepdims=0)
    kernel = net.weight("scores_kernel", [CLASSES, 64], 0.0, 1.0)
    bias = net.constant("scores_bias", SCORES_BIAS)
    net.add("Gemm", "scores", kernel, bias, alpha=1.0, beta=1.0, transB=1)

    bounds = [numpy_helper.from_array(np.float32(at), name) for name, at in [("zero", 0), ("six", 6)]]
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", CLASSES])
    graph = helper.make_graph(net.nodes, "mobile", [photo], [scores], net.weights + bounds)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options), net.digest.hexdigest()


def centre(photo):
    """torchvision's Resize(SHORT_SIDE) and CenterCrop(SIDE), by their source."""
    width, height = photo.size
    if width < height:
        size = (SHORT_SIDE, int(SHORT_SIDE * height / width))
    else:
        size = (int(SHORT_SIDE * width / height), SHORT_SIDE)
    photo = photo.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - SIDE) / 2), round((size[1] - SIDE) / 2)
    return photo.crop((left, top, left + SIDE, top + SIDE))


def probabilities(session, photo):
    levels = np.asarray(centre(photo), np.float32)
    planes = ((levels / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)[None]
    scores = session.run(None, {"photo": planes})[0][0].astype(np.float64)
    powers = np.exp(scores - scores.max())
    return [round(float(p), 7) for p in powers / powers.sum()]


def main():
    session, digest = build()
    # Coarse noise: blocks of ten pixels, so that a convolution sees edges and areas.
    rows, columns = NOISE_HEIGHT // 10, NOISE_WIDTH // 10
    blocks = (noise(1000, rows * columns * 3) >> np.uint32(24)).astype(np.uint8).reshape(rows, columns, 3)
    photos = {"noise": Image.fromarray(blocks.repeat(10, 0).repeat(10, 1))}
    for path in sorted(SAMPLES.iterdir()):
        if path.suffix in (".jpg", ".png", ".webp"):
            photos[path.name] = Image.open(path).convert("RGB")
    expected = {
        "weights_sha256": digest,
        "probabilities": {name: probabilities(session, photo) for name, photo in photos.items()},
    }
    (HERE / "mobile.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
