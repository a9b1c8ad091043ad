"""mosec with ONNX Runtime: python mosec_server.py PORT WORKERS THREADS BATCH

Decoding and the network are stages of their own, as mosec's documents have it.
"""

import os
import sys

ARGUMENTS = os.environ.setdefault("PEERS_ARGUMENTS", " ".join(sys.argv[1:]))
PORT, WORKERS, THREADS, BATCH = (int(one) for one in ARGUMENTS.split())
os.environ |= {"MOSEC_ADDRESS": "127.0.0.1", "MOSEC_PORT": str(PORT), "MOSEC_TIMEOUT": "60000", "MOSEC_LOG_LEVEL": "warning"}

import numpy as np
from mosec import Server, Worker
from network import Network, answer, pixels


class Decode(Worker):
    def deserialize(self, data):
        """The one part of a form: mosec hands over the body as it came."""
        boundary, rest = data.split(b"\r\n", 1)
        return rest.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n" + boundary, 1)[0]

    def forward(self, data):
        return pixels(data)


class Classify(Worker):
    def __init__(self):
        super().__init__()
        self.network = Network(THREADS)

    def forward(self, data):
        levels = np.stack(data) if BATCH > 1 else data[None]
        answers = [answer(one) for one in self.network.run(levels)]
        return answers if BATCH > 1 else answers[0]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Decode, num=os.cpu_count(), route="/predict")
    server.append_worker(Classify, num=WORKERS, max_batch_size=BATCH, max_wait_time=5, route="/predict")
    server.run()
