"""Beagle beside ONNX Runtime: the same ONNX file, the same machine, all cores, interleaved rounds.

Prints images/s for batches of 1, 8 and 32 (medians over the rounds) and their ratio. Beagle's
figures come from `cargo bench --bench forward`, ONNX Runtime's from this process, on the file that
`beagle model export` writes; both run float32 on as many threads as there are cores, and both
start from pixels that are already in memory.

    pip install numpy onnxruntime
    python benches/compare.py [--rounds 3] [--json]
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).parent.parent
BATCHES = [1, 8, 32]
UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
# divan's row of a benchmark: name, then fastest, slowest, median and mean, each with a unit.
ROW = re.compile(r"[├╰]─ (\d+)\s+" + r"\s*│ ".join([r"([\d.]+) (ns|µs|ms|s)"] * 4))


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def beagle():
    """images/s by batch: medians of ten batches."""
    table = cargo("bench", "--quiet", "--bench", "forward")
    rates = {int(row[1]): int(row[1]) / (float(row[6]) * UNITS[row[7]]) for row in ROW.finditer(table)}
    assert sorted(rates) == BATCHES, table
    return rates


def onnx_runtime(session):
    rates = {}
    for batch in BATCHES:
        pixels = np.random.default_rng(batch).uniform(-120, 130, (batch, 3, 224, 224)).astype(np.float32)
        times = []
        for _ in range(11):
            start = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: pixels})
            times.append(time.perf_counter() - start)
        rates[batch] = batch / statistics.median(times[1:])
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cargo("bench", "--no-run", "--bench", "forward")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "resnet50.onnx"
        cargo("run", "--release", "--quiet", "--", "model", "export", "resnet50", str(file))
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = os.cpu_count()
        session = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    rounds = [(beagle(), onnx_runtime(session)) for _ in range(options.rounds)]
    rows = []
    for batch in BATCHES:
        ours, theirs = (statistics.median(one[side][batch] for one in rounds) for side in (0, 1))
        rows.append({"batch": batch, "beagle": ours, "onnxruntime": theirs, "ratio": ours / theirs})
    if options.json:
        print(json.dumps({"threads": os.cpu_count(), "rounds": options.rounds, "images_per_second": rows}))
        return
    version = onnxruntime.__version__
    print(f"{platform.machine()}, {os.cpu_count()} threads, {options.rounds} rounds; images/s, float32")
    print(f"{'batch':>5}  {'Beagle':>8}  {'ONNX Runtime ' + version:>20}  {'ratio':>5}")
    for row in rows:
        print(f"{row['batch']:>5}  {row['beagle']:>8.1f}  {row['onnxruntime']:>20.1f}  {row['ratio']:>5.2f}")


main()
