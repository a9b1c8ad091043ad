"""The article's system, written anew: Flask takes photos, Redis holds them as base64 of float32, a
thread asks Redis every quarter of a second for up to 32 and lets Keras name them, and each request
asks Redis every quarter of a second whether it has been.

    python article_server.py PORT REDIS_PORT

Keras' ResNet50 computes with the weights that Beagle has in its cache.
"""

import base64
import io
import json
import os
import pathlib
import sys
import threading
import time
import uuid

import flask
import numpy as np
import redis
from keras.applications import ResNet50
from keras.applications.resnet50 import preprocess_input
from network import LABELS
from PIL import Image

SIDE = 224
QUEUE = "image_queue"
BATCH = 32
SERVER_SLEEP = CLIENT_SLEEP = 0.25

app = flask.Flask(__name__)
store = redis.Redis(host="127.0.0.1", port=int(sys.argv[2]))


def published(folder):
    """The published weights by their names: one stream of numbers over all shards."""
    manifest = json.loads((folder / "model.json").read_text())["weightsManifest"]
    tensors = {}
    for group in manifest:
        stream = b"".join((folder / path).read_bytes() for path in group["paths"])
        at = 0
        for weight in group["weights"]:
            count = int(np.prod(weight["shape"]))
            numbers = np.frombuffer(stream, "<f4", count, at)
            tensors[weight["name"]] = numbers.reshape(weight["shape"])
            at += 4 * count
    return tensors


def old_name(name):
    """What a layer was called when the weights were published: conv2_block1_0_conv was res2a_branch1."""
    if name.startswith("conv1_"):
        return "bn_conv1" if name.endswith("bn") else "conv1"
    if name == "predictions":
        return "fc1000"
    stage, block, part, kind = name.split("_")
    place = stage[4:] + "abcdef"[int(block[5:]) - 1]
    branch = "branch1" if part == "0" else "branch2" + "abc"[int(part) - 1]
    return f"{'bn' if kind == 'bn' else 'res'}{place}_{branch}"


def network():
    model = ResNet50(weights=None)
    known = published(pathlib.Path(os.environ["PEERS_WEIGHTS"]))
    for layer in model.layers:
        if not layer.weights:
            continue
        old = old_name(layer.name)
        layer.set_weights([known[f"{old}/{weight.name.split('/')[-1]}"] for weight in layer.weights])
        if hasattr(layer, "epsilon"):
            layer.epsilon = 1e-3  # as it was then
    return model


def classify():
    model = network()
    model.predict(np.zeros((1, SIDE, SIDE, 3), np.float32), verbose=0)
    store.set("ready", 1)
    while True:
        taken = [json.loads(one) for one in store.lrange(QUEUE, 0, BATCH - 1)]
        if taken:
            images = [np.frombuffer(base64.b64decode(one["image"]), np.float32) for one in taken]
            batch = np.stack([image.reshape(SIDE, SIDE, 3) for image in images])
            for one, scores in zip(taken, model.predict(batch, verbose=0)):
                best = np.argsort(-scores)[:5]
                named = [{"label": LABELS[place], "probability": float(scores[place])} for place in best]
                store.set(one["id"], json.dumps(named))
            store.ltrim(QUEUE, len(taken), -1)
        time.sleep(SERVER_SLEEP)


@app.route("/predict", methods=["POST"])
def predict():
    file = flask.request.files.get("image")
    if not file:
        return flask.jsonify({"success": False})
    image = Image.open(io.BytesIO(file.read())).convert("RGB").resize((SIDE, SIDE))
    levels = np.ascontiguousarray(preprocess_input(np.asarray(image, np.float32)[None])[0])
    name = str(uuid.uuid4())
    store.rpush(QUEUE, json.dumps({"id": name, "image": base64.b64encode(levels).decode()}))
    while (named := store.get(name)) is None:
        time.sleep(CLIENT_SLEEP)
    store.delete(name)
    return flask.jsonify({"success": True, "predictions": json.loads(named)})


if __name__ == "__main__":
    threading.Thread(target=classify, daemon=True).start()
    while not store.get("ready"):
        time.sleep(0.1)
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
