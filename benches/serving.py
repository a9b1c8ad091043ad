"""What the server leaves of the model's speed: bare batches, a server without a model, the server.

Every round measures, on this machine and one after the other:

- images/s of bare batches of 1 and 32 (`cargo bench --bench forward`);
- the processor time of a request beside the model: what a server whose model does nothing
  (`--example noop_server`, SQLite) takes for one, with as many connections as below; and the time that
  its Decoder takes for the photo with one connection, by its own metrics;
- answers/s of `beagle serve` (SQLite) with as many connections of wrk, and the median latency of one.
  In float32 a batch of 32 takes most of a second, so wrk needs some tens of them, or what it cuts off
  at the end counts.

The bound is 1 / (time of an image in a bare batch of 32 + processor time of a request / cores): the
rate at which nothing waits and nothing is done twice. wrk itself runs on the same cores and is not
counted, so the bound is a little more than can be had. Prints each round and the medians.

    pip install numpy pillow onnxruntime
    python benches/serving.py [--rounds 3] [--seconds 40] [--connections 64] [--precisions int8 f32]
"""

import argparse
import io
import os
import pathlib
import re
import statistics
import tempfile
import urllib.request

from PIL import Image

import compare
import wrk

CORES = len(os.sched_getaffinity(0))
# The most bytes that a photo of "100 kB" has.
BYTES = 100_000
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def photo():
    """The sample at the best quality that fits."""
    image = Image.open(compare.ROOT / "assets/samples/coffee.jpg")
    for quality in range(100, 0, -1):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        if file.tell() <= BYTES:
            return file.getvalue()
    raise AssertionError("there is no such quality")


def processor_time(process):
    """Seconds of processor time that a process has taken (proc(5), `stat`: utime and stime)."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def decoded(port):
    """Seconds and number of all decoding so far."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    found = (re.search(rf"^beagle_decode_duration_seconds_{name}.* ([\d.e-]+)$", text, re.M) for name in ("sum", "count"))
    return [float(one[1]) for one in found]


def latency(told):
    """Milliseconds that half of the answers took at most."""
    number, unit = re.search(r"^\s+50%\s+([\d.]+)(us|ms|s)", told, re.M).groups()
    return float(number) * UNITS[unit]


def alone(noop, form, folder, options):
    """Milliseconds: processor time of a request, and decoding."""
    with wrk.running(5050, noop, f"sqlite:{folder}/noop.db") as server:
        url = "http://127.0.0.1:5050/predict"
        wrk.wrk(url, form, options.connections, 2)
        before = processor_time(server)
        told = wrk.wrk(url, form, options.connections, options.seconds)
        request = (processor_time(server) - before) / int(re.search(r"(\d+) requests in", told)[1])
        before = decoded(5050)
        wrk.wrk(url, form, 1, options.seconds)
        seconds, number = (after - one for after, one in zip(decoded(5050), before))
        return request * 1e3, seconds / number * 1e3


def served(beagle, precision, form, folder, options):
    """Answers/s of many connections, and the median latency of one in ms."""
    command = [beagle, "serve", "--bind", "127.0.0.1:5051", "--store", f"sqlite:{folder}/{precision}.db"]
    with wrk.running(5051, *command, "--profile", "imagenet", "--precision", precision):
        url = "http://127.0.0.1:5051/predict"
        wrk.wrk(url, form, options.connections, 3)
        rate = wrk.rate(wrk.wrk(url, form, options.connections, options.seconds))
        return rate, latency(wrk.wrk(url, form, 1, options.seconds))


def measure(beagle, noop, precision, form, folder, options):
    """One round, as its row."""
    bare = compare.beagle(CORES, BEAGLE_PRECISION=precision)()
    request, decoding = alone(noop, form, folder, options)
    rate, one = served(beagle, precision, form, folder, options)
    bound = 1e3 / (1e3 / bare[32] + request / CORES)
    sum_of_parts = 1e3 / bare[1] + decoding
    return [bare[32], request, bound, rate, rate / bound, 1e3 / bare[1], decoding, one, one - sum_of_parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--precisions", nargs="+", default=["int8", "f32"])
    options = parser.parse_args()
    beagle, noop = wrk.built()
    print("| | bare images/s | request, ms | bound | answers/s | of bound | bare image, ms | decoding, ms | p50, ms | more, ms |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        form = wrk.script(pathlib.Path(folder), photo())
        rounds = {precision: [] for precision in options.precisions}
        for number in range(options.rounds):
            for precision, rows in rounds.items():
                rows.append(measure(beagle, noop, precision, form, folder, options))
                told(f"{precision}, {number + 1}", rows[-1])
    for precision, rows in rounds.items():
        told(f"{precision}, median", [statistics.median(column) for column in zip(*rows)])


def told(name, row):
    print(f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in row) + " |", flush=True)


if __name__ == "__main__":
    main()
