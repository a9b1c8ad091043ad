"""Sends a photo many times: the article's stress test, with its figures.

Either so many requests, one each so many seconds (`--requests 500 --every 0.05`), or so many
clients that each ask again at once, for so long (`--clients 64 --seconds 60`). Prints one JSON
object: requests, errors, requests/s, and percentiles of the time to an answer in milliseconds.

    pip install requests
    python stress_test.py dog.jpg --requests 500 --every 0.05
"""

import argparse
import collections
import json
import statistics
import threading
import time

import requests

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("photo")
parser.add_argument("--url", default="http://127.0.0.1:5000/predict")
parser.add_argument("--requests", type=int, default=500)
parser.add_argument("--every", type=float, default=0.05)
parser.add_argument("--clients", type=int, default=0)
parser.add_argument("--seconds", type=float, default=60)
options = parser.parse_args()
photo = open(options.photo, "rb").read()
times, errors, lock = [], collections.Counter(), threading.Lock()


def ask(session):
    start = time.perf_counter()
    try:
        response = session.post(options.url, files={"image": photo}, timeout=120)
        failure = None if response.ok and response.json()["success"] else f"status {response.status_code}"
    except requests.RequestException as error:
        failure = type(error).__name__
    with lock:
        if failure:
            errors[failure] += 1
        else:
            times.append(time.perf_counter() - start)


def again_and_again(until):
    with requests.Session() as session:
        while time.perf_counter() < until:
            ask(session)


started = time.perf_counter()
threads = []
if options.clients:
    until = started + options.seconds
    threads = [threading.Thread(target=again_and_again, args=(until,)) for _ in range(options.clients)]
    for thread in threads:
        thread.start()
else:
    for number in range(options.requests):
        time.sleep(max(0, started + number * options.every - time.perf_counter()))
        threads.append(threading.Thread(target=ask, args=(requests,)))
        threads[-1].start()
for thread in threads:
    thread.join()
took = time.perf_counter() - started
cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else [0] * 99
print(
    json.dumps(
        {
            "requests": len(times) + sum(errors.values()),
            "errors": dict(errors),
            "seconds": round(took, 1),
            "requests_per_second": round(len(times) / took, 1),
            "p50_ms": round(cuts[49] * 1e3, 1),
            "p90_ms": round(cuts[89] * 1e3, 1),
            "p99_ms": round(cuts[98] * 1e3, 1),
        }
    )
)
