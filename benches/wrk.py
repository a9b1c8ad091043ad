"""`beagle bench` beside wrk: the same connections, the same body, the same server, interleaved rounds.

Measures a server whose model does nothing (`--example noop_server`) and one with the real model, each
on a closed loop without a warm-up, as wrk has none, and prints answers a second of both programs: the
medians, and the median of the ratios of neighbouring measurements, which is the figure to trust where
something else runs too.

    python benches/wrk.py [--rounds 9] [--seconds 20] [--connections 64]
"""

import argparse
import contextlib
import json
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
PHOTO = ROOT / "assets/samples/cat.jpg"
SCRIPT = """
wrk.method = "POST"
wrk.body = io.open("{body}", "rb"):read("*all")
wrk.headers["Content-Type"] = "multipart/form-data; boundary=beagle-bench-0"
"""


def built():
    """Paths of the program and of the server without a model."""
    command = ["cargo", "build", "--release", "--workspace", "--all-targets", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    made = [json.loads(line) for line in lines if '"executable":"' in line]
    paths = {one["target"]["name"]: one["executable"] for one in made if not one["profile"]["test"]}
    return paths["beagle"], paths["noop_server"]


def script(folder, photo):
    """A script for wrk in the folder, which sends the form that `beagle bench` sends."""
    head = (
        "--beagle-bench-0\r\n"
        'Content-Disposition: form-data; name="image"; filename="cat.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    (folder / "body").write_bytes(head.encode() + photo + b"\r\n--beagle-bench-0--\r\n")
    (folder / "form.lua").write_text(SCRIPT.format(body=folder / "body"))
    return folder / "form.lua"


@contextlib.contextmanager
def running(port, *command):
    """A server that listens: its process."""
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert child.poll() is None, f"{command} ended"
            time.sleep(0.1)
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        child.wait()


def wrk(url, script, connections, seconds):
    """What wrk tells of so many connections."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", script, url]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in told and "Socket errors" not in told, told
    return told


def rate(told):
    return float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])


def bench(beagle, url, options):
    command = [beagle, "bench", url, PHOTO, "--connections", options.connections, "--json"]
    command += ["--duration", f"{options.seconds}s", "--warm-up", "0s"]
    told = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    return json.loads(told)["steps"][0]["throughput"]


def compare(name, beagle, port, script, options):
    url = f"http://127.0.0.1:{port}/predict"
    programs = [lambda: bench(beagle, url, options), lambda: rate(wrk(url, script, options.connections, options.seconds))]
    bench(beagle, url, options)  # a first one that does not count
    pairs = []
    for number in range(options.rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        told = {which: programs[which]() for which in order}
        pairs.append((told[0], told[1]))
    ours, theirs = (statistics.median(column) for column in zip(*pairs))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"| {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.3f} | {ratio:.3f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    beagle, noop = built()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        form = script(folder, PHOTO.read_bytes())
        print("| answers/s | beagle bench | wrk | of medians | median of pairs |\n|---|---|---|---|---|")
        with running(5050, noop, "memory:"):
            compare("no model", beagle, 5050, form, options)
        command = [beagle, "serve", "--bind", "127.0.0.1:5051", "--store", f"sqlite:{folder}/q.db"]
        with running(5051, *command, "--profile", "imagenet", "--precision", "int8"):
            compare("int8", beagle, 5051, form, options)


if __name__ == "__main__":
    main()
