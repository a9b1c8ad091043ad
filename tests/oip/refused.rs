//! Every request that cannot be done is refused with what is wrong, over both protocols alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fake::{Act, picture};
use crate::server::{Server, images, pixels};

/// A request with something put in at a place, as JSON pointers name it.
fn with(at: &str, value: Value) -> Value {
    let mut request = images(&[(1, Act::Answer)]);
    match request.pointer_mut(at) {
        Some(there) => *there = value,
        None => {
            let (parent, key) = at.rsplit_once('/').unwrap();
            request.pointer_mut(parent).unwrap()[key] = value;
        }
    }
    request
}

fn tensor(name: &str, datatype: &str, shape: Value, data: Value) -> Value {
    let input = json!({"name": name, "datatype": datatype, "shape": shape, "data": data});
    json!({"inputs": [input]})
}

fn check(requests: &[(Value, &str)]) {
    let server = Server::start();
    for (request, says) in requests {
        server.infer(request).assert_error(400, says);
    }
    assert!(
        server.stage.batches().is_empty(),
        "nothing came to the model"
    );
    server.infer(&images(&[(1, Act::Answer)])).done();
}

#[test]
fn what_is_no_request_is_refused() {
    let server = Server::start();
    let deep = [&b"{\"inputs\": [{\"data\": "[..], &b"[".repeat(1000)].concat();
    for (body, says) in [
        (&deep[..], "recursion limit"),
        (b"", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{\"inputs\": [", "cannot be read"),
        (b"{}", "inputs"),
        (b"{\"inputs\": 3}", "at most 32"),
        (b"{\"id\": 7, \"inputs\": []}", "string"),
    ] {
        let told = server.post("/v2/models/plain/infer", body, &[]);
        told.assert_error(400, says);
    }
}

#[test]
fn inputs_that_are_not_there_or_not_as_they_should_be_are_refused() {
    let image = || json!(STANDARD.encode(picture(1, Act::Answer)));
    check(&[
        (json!({"inputs": []}), "this one has 0"),
        (
            json!({"inputs": [images(&[(1, Act::Answer)])["inputs"][0], images(&[(1, Act::Answer)])["inputs"][0]]}),
            "this one has 2",
        ),
        (
            tensor("picture", "BYTES", json!([1]), json!([image()])),
            "no input 'picture'",
        ),
        (
            tensor("image", "UINT8", json!([1]), json!([image()])),
            "input 'image' is BYTES",
        ),
        (
            tensor("pixels", "FP32", json!([1, 2, 2, 3]), json!(pixels(1))),
            "'pixels' is UINT8",
        ),
        (
            tensor("pixels_f32", "FP16", json!([1, 2, 2, 3]), json!(pixels(1))),
            "is FP32",
        ),
        (
            tensor("image", "BYTES", json!([]), json!([image()])),
            "shape [-1]",
        ),
        (
            tensor("image", "BYTES", json!([0]), json!([])),
            "shape [-1]",
        ),
        (
            tensor("image", "BYTES", json!([-1]), json!([image()])),
            "shape [-1]",
        ),
        (
            tensor("image", "BYTES", json!([1, 1]), json!([image()])),
            "shape [-1]",
        ),
        (
            tensor("pixels", "UINT8", json!([12]), json!(pixels(1))),
            "[-1, 2, 2, 3]",
        ),
        (
            tensor("pixels", "UINT8", json!([1, 3, 2, 2]), json!(pixels(1))),
            "[-1, 2, 2, 3]",
        ),
        (
            tensor("pixels", "UINT8", json!([1, 224, 224, 3]), json!(pixels(1))),
            "[-1, 2, 2, 3]",
        ),
    ]);
}

#[test]
fn data_that_is_missing_or_not_as_much_as_the_shape_says_is_refused() {
    let image = || json!(STANDARD.encode(picture(1, Act::Answer)));
    let twelve = json!([1, 2, 2, 3]);
    check(&[
        (with("/inputs/0/data", json!([])), "has no data"),
        (
            json!({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}]}),
            "has no data",
        ),
        (
            tensor("image", "BYTES", json!([2]), json!([image()])),
            "1 strings of data: its shape makes 2",
        ),
        (
            tensor("image", "BYTES", json!([1]), json!([image(), image()])),
            "2 strings",
        ),
        (
            tensor("image", "BYTES", json!([1]), json!([7])),
            "numbers for data",
        ),
        (
            tensor("image", "BYTES", json!([2]), json!([image(), "no base64!"])),
            "row 1",
        ),
        (
            tensor("image", "BYTES", json!([2]), json!([image(), 7])),
            "numbers and strings",
        ),
        (
            tensor("pixels", "UINT8", twelve.clone(), json!([image()])),
            "strings for data",
        ),
        (
            tensor("pixels", "UINT8", twelve.clone(), json!(vec![1; 11])),
            "11 numbers of data: its shape makes 12",
        ),
        (
            tensor("pixels", "UINT8", json!([2, 2, 2, 3]), json!(vec![1; 12])),
            "its shape makes 24",
        ),
        (
            tensor("image", "BYTES", json!([1]), json!([true])),
            "cannot be read",
        ),
        (
            tensor("image", "BYTES", json!([1]), json!([null])),
            "cannot be read",
        ),
        (
            tensor("image", "BYTES", json!([1]), json!("text")),
            "cannot be read",
        ),
        (
            with("/inputs/0/parameters", json!({"shared_memory_region": "a"})),
            "shares no memory",
        ),
    ]);
}

#[test]
fn levels_that_are_scaled_normalised_or_between_are_refused() {
    let shape = json!([2, 2, 2, 3]);
    let mut requests = Vec::new();
    for (name, datatype) in [("pixels", "UINT8"), ("pixels_f32", "FP32")] {
        for (level, says) in [
            (json!(0.25), "holds 0.25"),
            (json!(-1), "holds -1"),
            (json!(256), "holds 256"),
            (json!(1e30), "holds 1"),
        ] {
            let mut data = vec![json!(9); 24];
            data[17] = level;
            let request = tensor(name, datatype, shape.clone(), json!(data));
            requests.push((request, says));
        }
    }
    check(&requests);
    let server = Server::start();
    let mut data = vec![json!(9); 24];
    data[17] = json!(0.5);
    let told = server.infer(&tensor("pixels_f32", "FP32", shape, json!(data)));
    told.assert_error(400, "row 1 of input 'pixels_f32' holds 0.5");
}

#[test]
fn outputs_and_parameters_that_make_no_sense_are_refused() {
    let outputs = |outputs: Value| with("/outputs", outputs);
    check(&[
        (outputs(json!([{"name": "logits"}])), "no output 'logits'"),
        (
            outputs(json!([{"name": "label"}, {"name": "label"}])),
            "more than once",
        ),
        (
            outputs(json!([{"name": "label", "parameters": {"classification": 3}}])),
            "ask for probabilities",
        ),
        (
            outputs(json!([{"name": "probabilities", "parameters": {"classification": -3}}])),
            "classification",
        ),
        (
            outputs(json!([{"name": "label", "parameters": {"binary_data": 1}}])),
            "true or false",
        ),
        (
            outputs(json!([{"name": "label", "parameters": {"shared_memory_region": "a"}}])),
            "shares no memory",
        ),
        (with("/parameters", json!({"top": 0})), "from 1 to 1000"),
        (
            with("/parameters", json!({"top": "many"})),
            "from 1 to 1000",
        ),
        (with("/parameters", json!({"tpo": 3})), "no parameter 'tpo'"),
        (with("/parameters", json!({"priority": 9})), "'high'"),
        (
            with(
                "/parameters",
                json!({"sequence_id": 9, "sequence_start": true}),
            ),
            "no sequences",
        ),
        (with("/parameters", json!({"top": [3]})), "cannot be read"),
        (with("/parameters", json!({"top": null})), "cannot be read"),
    ]);
}

#[test]
fn lists_that_no_honest_request_has_are_not_read_to_their_end() {
    let long = |value: Value| Value::Array(vec![value; 33]);
    let input = images(&[(1, Act::Answer)])["inputs"][0].clone();
    let named: serde_json::Map<String, Value> =
        (0..33).map(|at| (at.to_string(), json!(1))).collect();
    check(&[
        (with("/inputs", long(input)), "more than 32"),
        (
            with("/outputs", long(json!({"name": "label"}))),
            "more than 32",
        ),
        (with("/inputs/0/shape", long(json!(1))), "more than 32"),
        (with("/parameters", Value::Object(named)), "more than 32"),
        (
            with("/inputs/0/data", Value::Array(vec![json!(""); 4097])),
            "more than 4096",
        ),
    ]);
}
