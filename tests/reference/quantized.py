"""Small networks in QDQ form, run by ONNX Runtime, pair by pair.

`model_import/tests/generate/quantized.rs` builds them; it writes them into FOLDER if
BEAGLE_QUANTIZED_FILES says so. Writes the scores to `quantized.json`.

    pip install numpy onnxruntime
    python quantized.py FOLDER
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import onnxruntime

HERE = pathlib.Path(__file__).parent


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def scores(folder, name):
    model, numbers = folder / f"{name}.onnx", folder / f"{name}.f32"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    photos = np.fromfile(numbers, np.float32).reshape(-1, 3, 8, 8)
    found = session.run(None, {"photo": photos})[0]
    rows = [round(float(score), 6) for score in found.flatten()]
    return {"model": digest(model), "input": digest(numbers), "scores": rows}


def main():
    folder = pathlib.Path(sys.argv[1])
    answers = {name: scores(folder, name) for name in ("uint8", "int8")}
    (HERE / "quantized.json").write_text(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
