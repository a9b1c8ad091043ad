"""LitServe with ONNX Runtime: python litserve_server.py PORT WORKERS THREADS BATCH"""

import sys

import litserve
import numpy as np
from network import Network, answer, pixels

PORT, WORKERS, THREADS, BATCH = (int(one) for one in sys.argv[1:])


class Classify(litserve.LitAPI):
    def setup(self, device):
        self.network = Network(THREADS)

    def decode_request(self, request):
        return pixels(request["image"].file.read())

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, levels):
        return self.network.run(levels if BATCH > 1 else levels[None])

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return answer(output.reshape(-1))


if __name__ == "__main__":
    api = Classify(max_batch_size=BATCH, batch_timeout=0.005 if BATCH > 1 else 0.0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, timeout=60)
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False)
