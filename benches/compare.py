"""Beagle beside ONNX Runtime and OpenVINO: one ONNX file, one machine, interleaved rounds.

Measures images/s of ResNet50 for batches of 1, 8 and 32: Beagle's generated network and its fused
one (float32, bfloat16, int8) by `cargo bench --bench forward`, the others in this process on the file
that `beagle model export` writes, quantized to int8 by their own tools. Every one starts from pixels
that are in memory. A figure is the median over the rounds of the median over ten batches, or over
those of a second where that is more: ten batches of one image are so soon over that a neighbour on the
machine decides. OpenVINO runs with its latency hint and, as `streams`, with its throughput hint and as
many requests as it asks for; the better one counts. What is not installed is left out.

    pip install numpy pillow onnxruntime openvino nncf matplotlib
    python benches/compare.py [--rounds 3] [--threads 2] [--only f32] [--write benches] [--json]
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
from PIL import Image

try:
    import openvino
except ImportError:
    openvino = None

ROOT = pathlib.Path(__file__).parent.parent
BATCHES = [1, 8, 32]
# How long a batch size is measured at least, by everyone.
SECONDS = 1.0
UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
# divan's row of a benchmark: name, then fastest, slowest, median and mean, each with a unit.
ROW = re.compile(r"[├╰]─ (\d+)\s+" + r"\s*│ ".join([r"([\d.]+) (ns|µs|ms|s)"] * 4))
# Means of the blue, green and red levels of Keras' ResNet50 (keras.applications.imagenet_utils).
MEANS = np.array([103.939, 116.779, 123.68], np.float32)


def cargo(*arguments, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        ["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True, env=environment
    ).stdout


def program():
    """The path of the program; built with the features that the benchmarks have."""
    lines = cargo("build", "--release", "--workspace", "--all-targets", "--message-format", "json").splitlines()
    built = [json.loads(line) for line in lines if '"executable":"' in line]
    wanted = (one for one in built if one["target"]["kind"] == ["bin"] and not one["profile"]["test"])
    return next(one["executable"] for one in wanted if one["target"]["name"] == "beagle")


def beagle(threads, **environment):
    def run():
        table = cargo("bench", "--workspace", "--quiet", "--bench", "forward", BEAGLE_THREADS=str(threads), **environment)
        rates = {int(row[1]): int(row[1]) / (float(row[6]) * UNITS[row[7]]) for row in ROW.finditer(table)}
        assert sorted(rates) == BATCHES, table
        return rates

    return run


def pixels(batch):
    return np.random.default_rng(batch).uniform(-120, 130, (batch, 3, 224, 224)).astype(np.float32)


def timed(run):
    """images/s by batch of a function from a batch of pixels."""
    rates = {}
    for batch in BATCHES:
        given, times = pixels(batch), []
        while len(times) < 11 or sum(times) < SECONDS:
            start = time.perf_counter()
            run(given)
            times.append(time.perf_counter() - start)
        rates[batch] = batch / statistics.median(times[1:])
    return rates


def onnx_runtime(file, threads):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: timed(lambda given: session.run(None, {name: given}))


def latency(model, precision, threads):
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()
    return lambda: timed(lambda given: request.infer([given]))


def streams(model, precision, threads):
    """As many requests at once as OpenVINO asks for: images/s of all together."""
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    count = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")

    def run():
        rates = {}
        for batch in BATCHES:
            queue, given, turns = openvino.AsyncInferQueue(compiled, count), pixels(batch), max(2, 48 // batch // count)

            def take():
                start = time.perf_counter()
                for _ in range(turns * count):
                    queue.start_async([given])
                queue.wait_all()
                return time.perf_counter() - start

            take()
            while (taken := take()) < SECONDS:
                turns *= 2
            rates[batch] = turns * count * batch / taken
        return rates

    return run


def photos():
    """The samples and crops of them, as the network takes them."""
    taken = []
    for path in sorted((ROOT / "assets/samples").iterdir()):
        if path.suffix == ".md":
            continue
        image = Image.open(path).convert("RGB")
        for share in (1.0, 0.85, 0.7):
            for left in (0.0, 0.5, 1.0):
                width, height = (int(side * share) for side in image.size)
                x, y = (int((whole - part) * left) for whole, part in zip(image.size, (width, height)))
                crop = image.crop((x, y, x + width, y + height)).resize((224, 224), Image.Resampling.BICUBIC)
                levels = np.asarray(crop, np.float32)[:, :, ::-1] - MEANS
                taken.append(levels.transpose(2, 0, 1)[None])
    return taken


def quantized_onnx(file, folder):
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            name = onnxruntime.InferenceSession(str(file)).get_inputs()[0].name
            self.left = [{name: photo} for photo in photos()]

        def get_next(self):
            return self.left.pop() if self.left else None

    to = folder / "int8.onnx"
    quantization.quantize_static(
        str(file), str(to), Reader(), per_channel=True, activation_type=quantization.QuantType.QUInt8
    )
    return to


def quantized_openvino(model):
    import nncf

    return nncf.quantize(model, nncf.Dataset(photos()), subset_size=len(photos()))


def contenders(file, folder, threads):
    """Who takes part: a name, a precision, and a function that measures one round."""
    yield "Beagle, generated", "f32", beagle(threads, BEAGLE_EXECUTION="generated")
    for precision in ("f32", "bf16", "int8"):
        yield "Beagle", precision, beagle(threads, BEAGLE_PRECISION=precision)
    yield "ONNX Runtime", "f32", onnx_runtime(file, threads)
    yield "ONNX Runtime", "int8", onnx_runtime(quantized_onnx(file, folder), threads)
    if openvino is None:
        return
    model = openvino.Core().read_model(file)
    for precision in ("f32", "bf16"):
        yield "OpenVINO", precision, latency(model, precision, threads)
        yield "OpenVINO, streams", precision, streams(model, precision, threads)
    try:
        model = quantized_openvino(model)
    except ImportError:
        return
    yield "OpenVINO", "int8", latency(model, "f32", threads)
    yield "OpenVINO, streams", "int8", streams(model, "f32", threads)


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)
    return name[1] if name else platform.machine()


def draw(rows, path):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(11, 4), sharey=False, layout="constrained")
    for axis, precision in zip(axes, ("f32", "bf16", "int8")):
        shown = [row for row in rows if row["precision"] == precision]
        for place, row in enumerate(shown):
            colour = "tab:blue" if row["name"].startswith("Beagle") else "tab:gray"
            for batch, shade in zip(BATCHES, (0.4, 0.7, 1.0)):
                at = place + (BATCHES.index(batch) - 1) * 0.27
                axis.barh(at, row["images_per_second"][str(batch)], 0.25, color=colour, alpha=shade)
        axis.set_yticks(range(len(shown)), [row["name"] for row in shown])
        axis.invert_yaxis()
        axis.set_title(precision)
        axis.set_xlabel("images/s (batch 1, 8, 32)")
    figure.savefig(path, metadata={"Date": None})


def table(rows):
    lines = ["| | precision | batch 1 | batch 8 | batch 32 |", "|---|---|---|---|---|"]
    for row in rows:
        rates = " | ".join(f"{row['images_per_second'][str(batch)]:.1f}" for batch in BATCHES)
        lines.append(f"| {row['name']} | {row['precision']} | {rates} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=["f32", "bf16", "int8"], help="one precision")
    parser.add_argument("--write", type=pathlib.Path, help="folder for inference.json, .md and .svg")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.write:
        # Before a quarter of an hour of measuring, not after it.
        options.write.mkdir(parents=True, exist_ok=True)
    cargo("bench", "--workspace", "--no-run", "--bench", "forward")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        file = folder / "resnet50.onnx"
        subprocess.run([program(), "model", "export", "resnet50", str(file)], check=True)
        all = list(contenders(file, folder, options.threads))
        taking_part = [one for one in all if options.only in (None, one[1])]
        rounds = []
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            rounds.append([measure() for _, _, measure in taking_part])
    rows = []
    for place, (name, precision, _) in enumerate(taking_part):
        rates = {str(b): round(statistics.median(one[place][b] for one in rounds), 2) for b in BATCHES}
        rows.append({"name": name, "precision": precision, "images_per_second": rates})
    versions = {"onnxruntime": onnxruntime.__version__, "openvino": openvino and openvino.__version__.split("-")[0]}
    about = {
        "processor": processor(),
        "threads": options.threads,
        "rounds": options.rounds,
        "date": datetime.date.today().isoformat(),
        "versions": versions,
    }
    result = {**about, "rows": rows}
    said = f"{about['processor']}, {options.threads} threads, medians of {options.rounds} rounds, {about['date']}; {versions}"
    print(json.dumps(result) if options.json else f"{said}\n\n{table(rows)}", flush=True)
    if options.write:
        (options.write / "inference.json").write_text(json.dumps(result, indent=1) + "\n")
        (options.write / "inference.md").write_text(f"{said}\n\n{table(rows)}\n")
        draw(rows, options.write / "inference.svg")


if __name__ == "__main__":
    main()
