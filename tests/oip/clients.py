"""NVIDIA's clients against a running Beagle: python clients.py ASKED.json

ASKED.json has the addresses, each photo with a profile and the pixels that the server takes from
it, and the labels. Every function named check_... is a test; the first failure ends the program."""

import base64
import json
import sys
import time
import urllib.request

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException

ASKED = json.load(open(sys.argv[1], encoding="utf-8"))
LABELS = ASKED["labels"]
LIMIT = 1e-6
# The largest difference of a probability from /predict's, by kind of request.
LARGEST = {}


def same(what, labels, probabilities, predicted):
    """Holds one row to what /predict said."""
    labels = [label.decode() if isinstance(label, bytes) else label for label in labels]
    assert labels == [p["label"] for p in predicted], (what, labels, predicted)
    for probability, prediction in zip(probabilities, predicted):
        difference = abs(float(probability) - prediction["probability"])
        LARGEST[what] = max(LARGEST.get(what, 0.0), difference)
        assert difference <= LIMIT, (what, probability, prediction)


def predict(photo, profile, top=5):
    url = f"http://{ASKED['http']}/predict?profile={profile}&top={top}"
    with open(photo, "rb") as file:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(url, file.read(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["predictions"]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def pixels(asked):
    return np.frombuffer(read(asked["pixels"]), np.uint8).reshape(1, 224, 224, 3)


def tensors(client, asked):
    """The three inputs of a photo, as a client of either kind makes them."""
    image = client.InferInput("image", [1], "BYTES")
    levels = client.InferInput("pixels", [1, 224, 224, 3], "UINT8")
    floats = client.InferInput("pixels_f32", [1, 224, 224, 3], "FP32")
    file = np.array([read(asked["photo"])], dtype=object)
    return [
        (image, file),
        (levels, pixels(asked)),
        (floats, pixels(asked).astype(np.float32)),
    ]


def row(result, at=0):
    return result.as_numpy("label")[at], result.as_numpy("probability")[at]


def refused(status, says, call):
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == status, (status, error.status(), error.message())
        assert says in error.message(), (says, error.message())
        return
    raise AssertionError(f"{status} {says}: it was not refused")


def one_image(client, asked):
    image = client.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([read(asked["photo"])], dtype=object))
    return image


def check_health_metadata_and_configuration(client, kind):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("imagenet") and client.is_model_ready("article", "1")
    assert not client.is_model_ready("vgg") and not client.is_model_ready("imagenet", "2")
    as_json = {} if kind is httpclient else {"as_json": True}
    told = client.get_server_metadata(**as_json)
    assert told["name"] == "beagle" and "classification" in told["extensions"], told
    for name in ("imagenet", "keras", "article"):
        told = client.get_model_metadata(name, **as_json)
        assert told["name"] == name and told["platform"] == "beagle_burn", told
        shape = lambda tensor: [int(side) for side in tensor["shape"]]
        inputs = {t["name"]: (t["datatype"], shape(t)) for t in told["inputs"]}
        assert inputs == {
            "image": ("BYTES", [-1]),
            "pixels": ("UINT8", [-1, 224, 224, 3]),
            "pixels_f32": ("FP32", [-1, 224, 224, 3]),
        }, inputs
        outputs = {t["name"]: (t["datatype"], shape(t)) for t in told["outputs"]}
        assert outputs == {
            "label": ("BYTES", [-1, -1]),
            "probability": ("FP32", [-1, -1]),
            "probabilities": ("FP32", [-1, 1000]),
        }, outputs
        config = client.get_model_config(name, **as_json)
        config = config.get("config", config)
        assert config["name"] == name, config
        assert config["input"][1]["data_type"] == "TYPE_UINT8", config
        labels = config["parameters"]["labels"]["string_value"]
        assert labels.split("\n") == LABELS
    index = client.get_model_repository_index(**as_json)
    models = index if kind is httpclient else index["models"]
    assert sorted((m["name"], m["state"]) for m in models) == [
        ("article", "READY"),
        ("imagenet", "READY"),
        ("keras", "READY"),
    ], models


def check_every_photo_by_every_input(http, grpc):
    for asked in ASKED["photos"]:
        predicted = predict(asked["photo"], asked["profile"])
        profile = asked["profile"]
        for tensor, data in tensors(httpclient, asked):
            tensor.set_data_from_numpy(data, binary_data=True)
            result = http.infer(profile, [tensor], request_id="mine")
            assert result.get_response()["id"] == "mine"
            same(f"http binary {tensor.name()}", *row(result), predicted)
        for tensor, data in tensors(httpclient, asked):
            if tensor.name() == "image":
                data = np.array([base64.b64encode(data[0])], dtype=object)
            tensor.set_data_from_numpy(data, binary_data=False)
            outputs = [
                httpclient.InferRequestedOutput(name, binary_data=False)
                for name in ("label", "probability")
            ]
            result = http.infer(profile, [tensor], outputs=outputs)
            assert "data" in result.get_output("label")
            same(f"http json {tensor.name()}", *row(result), predicted)
        for tensor, data in tensors(grpcclient, asked):
            tensor.set_data_from_numpy(data)
            result = grpc.infer(profile, [tensor], request_id="mine")
            assert result.get_response().id == "mine"
            same(f"grpc raw {tensor.name()}", *row(result), predicted)


def check_all_photos_in_one_request(http, grpc):
    photos = [asked for asked in ASKED["photos"] if asked["profile"] == "imagenet"]
    predicted = [predict(asked["photo"], "imagenet", top=3) for asked in photos]
    files = np.array([read(asked["photo"]) for asked in photos], dtype=object)
    levels = np.concatenate([pixels(asked) for asked in photos])
    for kind, client in ((httpclient, http), (grpcclient, grpc)):
        image = kind.InferInput("image", list(files.shape), "BYTES")
        image.set_data_from_numpy(files)
        tensor = kind.InferInput("pixels", list(levels.shape), "UINT8")
        tensor.set_data_from_numpy(levels)
        for one in (image, tensor):
            result = client.infer("imagenet", [one], parameters={"top": 3})
            assert result.as_numpy("label").shape == (len(photos), 3)
            for at, wanted in enumerate(predicted):
                same("a batch of photos", *row(result, at), wanted)


def check_all_probabilities_and_classification(http, grpc):
    asked = ASKED["photos"][0]
    profile = asked["profile"]
    predicted = predict(asked["photo"], profile, top=1000)
    for kind, client in ((httpclient, http), (grpcclient, grpc)):
        outputs = [kind.InferRequestedOutput("probabilities")]
        result = client.infer(profile, [one_image(kind, asked)], outputs=outputs)
        everything = result.as_numpy("probabilities")
        assert everything.shape == (1, 1000) and abs(everything.sum() - 1) < 1e-4
        best = sorted(range(1000), key=lambda at: (-everything[0][at], at))
        same("all probabilities", [LABELS[at] for at in best], everything[0][best], predicted)
        outputs = [kind.InferRequestedOutput("probabilities", class_count=5)]
        result = client.infer(profile, [one_image(kind, asked)], outputs=outputs)
        texts = result.as_numpy("probabilities")
        assert texts.shape == (1, 5), texts
        parts = [text.decode().split(":", 2) for text in texts[0]]
        assert [int(number) for _, number, _ in parts] == best[:5], (parts, best[:5])
        same(
            "classification",
            [label for _, _, label in parts],
            [float(probability) for probability, _, _ in parts],
            predicted[:5],
        )


def check_asynchronous_inference(http, grpc):
    asked = ASKED["photos"][0]
    predicted = predict(asked["photo"], asked["profile"])
    waiting = [
        http.async_infer(asked["profile"], [one_image(httpclient, asked)]) for _ in range(4)
    ]
    for one in waiting:
        same("http async", *row(one.get_result()), predicted)
    heard = []
    for _ in range(4):
        grpc.async_infer(
            asked["profile"],
            [one_image(grpcclient, asked)],
            lambda result, error: heard.append((result, error)),
        )
    until = time.monotonic() + 60
    while len(heard) < 4:
        assert time.monotonic() < until, heard
        time.sleep(0.01)
    for result, error in heard:
        assert error is None, error
        same("grpc async", *row(result), predicted)


def check_priorities_timeouts_and_keys(http, grpc):
    asked = ASKED["photos"][0]
    for kind, client in ((httpclient, http), (grpcclient, grpc)):
        image = one_image(kind, asked)
        client.infer("imagenet", [image], priority=1, timeout=30_000_000)
        headers = {"idempotency-key": f"one-{kind.__name__}"}
        results = [client.infer("imagenet", [image], headers=headers) for _ in range(2)]
        first, second = (row(result) for result in results)
        assert (first[0] == second[0]).all() and (first[1] == second[1]).all()


def check_errors(http, grpc):
    asked = ASKED["photos"][0]
    invalid, missing = "StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND"
    for kind, client, bad, unknown in (
        (httpclient, http, "400", "404"),
        (grpcclient, grpc, invalid, missing),
    ):
        image = one_image(kind, asked)
        call = lambda *inputs, model="imagenet", **more: lambda: client.infer(
            model, list(inputs), **more
        )
        refused(unknown, "no model 'vgg'", call(image, model="vgg"))
        refused(unknown, "no version '2'", call(image, model_version="2"))
        refused(unknown, "no model 'vgg'", lambda: client.get_model_metadata("vgg"))
        refused(unknown, "no model 'vgg'", lambda: client.get_model_config("vgg"))
        refused(bad, "this one has 2", call(image, image))
        refused(bad, "no sequences", call(image, sequence_id=3, sequence_start=True))
        refused(bad, "'high'", call(image, priority=9))
        refused(bad, "no parameter", call(image, parameters={"tpo": 3}))
        outputs = [kind.InferRequestedOutput("logits")]
        refused(bad, "no output 'logits'", call(image, outputs=outputs))
        outputs = [kind.InferRequestedOutput("label", class_count=3)]
        refused(bad, "cannot be classified", call(image, outputs=outputs))
        small = kind.InferInput("pixels", [1, 8, 8, 3], "UINT8")
        small.set_data_from_numpy(np.zeros((1, 8, 8, 3), np.uint8))
        refused(bad, "[-1, 224, 224, 3]", call(small))
        scaled = kind.InferInput("pixels_f32", [1, 224, 224, 3], "FP32")
        scaled.set_data_from_numpy(np.full((1, 224, 224, 3), 0.5, np.float32))
        refused(bad, "whole numbers from 0 to 255", call(scaled))
        shared = kind.InferInput("image", [1], "BYTES")
        shared.set_shared_memory("region", 100)
        refused(bad, "shares no memory", call(shared))
        letter = kind.InferInput("image", [2], "BYTES")
        files = [read(asked["photo"]), b"GIF89a"]
        letter.set_data_from_numpy(np.array(files, dtype=object))
        refused("422" if kind is httpclient else bad, "row 1: ", call(letter))
        refused(
            "504" if kind is httpclient else "StatusCode.DEADLINE_EXCEEDED",
            "no answer within",
            call(image, timeout=1),
        )
    image = one_image(httpclient, asked)
    packed = lambda: http.infer("imagenet", [image], request_compression_algorithm="gzip")
    refused("415", "Content-Encoding", packed)
    refused("404", "no such page", lambda: http.get_inference_statistics("imagenet"))
    refused("404", "not loaded or unloaded", lambda: http.load_model("imagenet"))
    image = one_image(grpcclient, asked)
    packed = lambda: grpc.infer("imagenet", [image], compression_algorithm="gzip")
    refused("StatusCode.UNIMPLEMENTED", "gzip", packed)
    refused("StatusCode.UNIMPLEMENTED", "", grpc.get_inference_statistics)
    refused("StatusCode.UNIMPLEMENTED", "", lambda: grpc.load_model("imagenet"))


def main():
    http = httpclient.InferenceServerClient(ASKED["http"], concurrency=4, network_timeout=60)
    grpc = grpcclient.InferenceServerClient(ASKED["grpc"])
    check_health_metadata_and_configuration(http, httpclient)
    check_health_metadata_and_configuration(grpc, grpcclient)
    check_every_photo_by_every_input(http, grpc)
    check_all_photos_in_one_request(http, grpc)
    check_all_probabilities_and_classification(http, grpc)
    check_asynchronous_inference(http, grpc)
    check_priorities_timeouts_and_keys(http, grpc)
    check_errors(http, grpc)
    http.close()
    grpc.close()
    for what, difference in sorted(LARGEST.items()):
        print(f"{what}: {difference:.1e}")
    print(f"largest difference from /predict: {max(LARGEST.values()):.1e}")


main()
