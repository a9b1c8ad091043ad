//! Tensors as binary data behind the JSON.

use serde_json::{Value, json};

use crate::fake::{Act, label, picture};
use crate::server::{Server, Told, images, pixels};

const LENGTH: &str = "Inference-Header-Content-Length";

fn post(server: &Server, json: &Value, binary: &[u8]) -> Told {
    let json = json.to_string();
    let length = json.len().to_string();
    let body = [json.as_bytes(), binary].concat();
    server.post("/v2/models/plain/infer", &body, &[(LENGTH, &length)])
}

fn input(name: &str, datatype: &str, shape: Value, bytes: usize) -> Value {
    let parameters = json!({"binary_data_size": bytes});
    let input =
        json!({"name": name, "datatype": datatype, "shape": shape, "parameters": parameters});
    json!({"inputs": [input], "parameters": {"top": 1}})
}

/// Strings behind their lengths.
fn packed(files: &[Vec<u8>]) -> Vec<u8> {
    let pack =
        |file: &Vec<u8>| [&u32::try_from(file.len()).unwrap().to_le_bytes(), &file[..]].concat();
    files.iter().flat_map(pack).collect()
}

fn floats(levels: &[u8]) -> Vec<u8> {
    let bytes = levels
        .iter()
        .flat_map(|level| f32::from(*level).to_le_bytes());
    bytes.collect()
}

#[test]
fn http_takes_inputs_as_binary_data() {
    let server = Server::start();
    let files = packed(&[picture(5, Act::Answer), picture(6, Act::Answer)]);
    let levels = [pixels(5), pixels(6)].concat();
    for (name, datatype, shape, data) in [
        ("image", "BYTES", json!([2]), files),
        ("pixels", "UINT8", json!([2, 2, 2, 3]), levels.clone()),
        ("pixels_f32", "FP32", json!([2, 2, 2, 3]), floats(&levels)),
    ] {
        let told = post(&server, &input(name, datatype, shape, data.len()), &data);
        let answer = told.done();
        let labels = json!([label(5), label(6)]);
        assert_eq!(answer["outputs"][0]["data"], labels, "{name}");
        assert!(told.headers.get(LENGTH).is_none());
    }
}

#[test]
fn http_gives_outputs_as_binary_data_all_or_some() {
    let server = Server::start();
    let read = |told: &Told| -> (Value, Vec<u8>) {
        assert_eq!(told.status, 200, "{:?}", told.bytes);
        assert_eq!(told.header("content-type"), "application/octet-stream");
        let (json, binary) = told.bytes.split_at(told.header(LENGTH).parse().unwrap());
        (serde_json::from_slice(json).unwrap(), binary.to_vec())
    };
    let mut request = images(&[(9, Act::Answer)]);
    request["parameters"] = json!({"top": 1, "binary_data_output": true});
    let (json, binary) = read(&server.infer(&request));
    let size = |at: usize| {
        json["outputs"][at]["parameters"]["binary_data_size"]
            .as_u64()
            .unwrap()
    };
    assert_eq!((size(0), size(1)), (4 + 7, 4));
    assert!(json["outputs"][0].get("data").is_none());
    assert_eq!(binary[..11], *b"\x07\0\0\0class_9");
    let probability = f32::from_le_bytes(binary[11..].try_into().unwrap());
    assert!((probability - 0.9).abs() < 1e-6);

    request["outputs"] = json!([
        {"name": "label", "parameters": {"binary_data": false}},
        {"name": "probabilities"},
    ]);
    let (json, binary) = read(&server.infer(&request));
    assert_eq!(json["outputs"][0]["data"], json!([label(9)]));
    assert_eq!(json["outputs"][1]["parameters"]["binary_data_size"], 1024);
    assert_eq!(binary.len(), 1024);
    assert_eq!(binary[36..40], 0.9_f32.to_le_bytes());
}

#[test]
fn http_refuses_binary_data_that_does_not_fit() {
    let server = Server::start();
    let image = packed(&[picture(1, Act::Answer)]);
    let of = |bytes: usize| input("image", "BYTES", json!([1]), bytes);
    let levels = |bytes: usize| input("pixels", "UINT8", json!([1, 2, 2, 3]), bytes);
    let floats = |bytes: usize| input("pixels_f32", "FP32", json!([1, 2, 2, 3]), bytes);
    let nan = [&floats_of_nan()[..], &[0; 44]].concat();
    for (json, binary, says) in [
        (of(image.len() + 1), &image[..], "binary_data_size"),
        (
            of(image.len() - 1),
            &image,
            "1 bytes of binary data belong to no input",
        ),
        (images(&[(1, Act::Answer)]), &image, "belong to no input"),
        (of(3), &image[..3], "each behind its length"),
        (
            of(image.len() - 1),
            &image[..image.len() - 1],
            "each behind its length",
        ),
        (
            input("image", "BYTES", json!([2]), image.len()),
            &image,
            "1 strings",
        ),
        (
            of(2 * image.len()),
            &image.repeat(2),
            "each behind its length",
        ),
        (
            levels(11),
            &image[..11],
            "11 bytes of data: its shape makes 12",
        ),
        (floats(12), &image[..12], "its shape makes 48"),
        (floats(48), &nan, "holds NaN"),
    ] {
        post(&server, &json, binary).assert_error(400, says);
    }
    let mut both = of(image.len());
    both["inputs"][0]["data"] = json!([""]);
    post(&server, &both, &image).assert_error(400, "data and binary data");
}

fn floats_of_nan() -> [u8; 4] {
    f32::NAN.to_le_bytes()
}

#[test]
fn http_refuses_lengths_of_json_that_cannot_be() {
    let server = Server::start();
    let body = images(&[(1, Act::Answer)]).to_string();
    let longer = (body.len() + 1).to_string();
    for (length, says) in [
        (longer.as_str(), "and the body"),
        ("0", "there has to be JSON"),
        ("-1", "number of bytes of JSON"),
        ("many", "number of bytes of JSON"),
        ("10", "cannot be read"),
    ] {
        let headers = [(LENGTH, length)];
        let told = server.post("/v2/models/plain/infer", body.as_bytes(), &headers);
        told.assert_error(400, says);
    }
}
