//! Any server of the Open Inference Protocol: what it takes is read from it.

use std::sync::Arc;
use std::time::Duration;

use beagle::load::drive::Target as _;
use beagle::load::ended::Ended;
use beagle::load::send::{Input, Photo, Protocol, Server as Target};
use serde_json::Value;

use crate::server::{Reply, Request, Server};

const MODEL: &str = r#"{"name": "m", "platform": "", "inputs": [
    {"name": "pixels", "datatype": "FP32", "shape": [-1, 2, 2, 3]},
    {"name": "photo", "datatype": "BYTES", "shape": [-1, 1]}], "outputs": []}"#;

/// A server without extensions, as MLServer is.
fn plain(request: &Request) -> Reply {
    let path = request.head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        "/v2" => (200, r#"{"name": "x", "extensions": []}"#),
        "/v2/models/m" => (200, MODEL),
        "/v2/models/m/infer" => (200, r#"{"outputs": []}"#),
        _ => (404, r#"{"error": "no such model"}"#),
    };
    Reply::Status(status, body.to_owned())
}

/// A server that reads binary data, as Triton is.
fn binary(request: &Request) -> Reply {
    if request.head.starts_with("GET /v2 ") {
        let extensions = r#"{"name": "x", "extensions": ["binary_tensor_data"]}"#;
        return Reply::Status(200, extensions.to_owned());
    }
    plain(request)
}

async fn asked(plan: fn(&Request) -> Reply, input: Input) -> Request {
    let server = Server::start(Duration::ZERO, plan);
    let photo = Arc::new(Photo {
        name: "a.jpg".to_owned(),
        bytes: b"abc"[..].into(),
    });
    let protocol = Protocol::Oip {
        model: "m".to_owned(),
        input,
    };
    let target = Target::find(&server.url(), &protocol, &[photo], &[]).await;
    let ended = target.expect("the model is there").send(0).await;
    assert_eq!(ended, Ended::Answered);
    server.requests().pop().expect("it was asked")
}

#[tokio::test]
async fn a_photo_goes_into_the_input_of_bytes() {
    let request = asked(plain, Input::Photo).await;
    let said: Value = serde_json::from_slice(&request.body).unwrap();
    let input = &said["inputs"][0];
    assert_eq!(
        (&input["name"], &input["shape"]),
        (&"photo".into(), &serde_json::json!([1, 1]))
    );
    assert_eq!(input["data"], serde_json::json!(["YWJj"]));

    let request = asked(binary, Input::Photo).await;
    assert!(request.body.ends_with(b"}\x03\0\0\0abc"));
    let json = request.body.len() - 7;
    let header = format!("inference-header-content-length: {json}\r\n");
    assert!(
        request.head.to_ascii_lowercase().contains(&header),
        "{}",
        request.head
    );
    let said: Value = serde_json::from_slice(&request.body[..json]).unwrap();
    assert_eq!(said["inputs"][0]["parameters"]["binary_data_size"], 7);
}

#[tokio::test]
async fn numbers_of_a_shape_go_into_the_input_of_their_type() {
    let request = asked(plain, Input::F32(vec![1, 2, 2, 3])).await;
    let said: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(said["inputs"][0]["name"], "pixels");
    assert_eq!(said["inputs"][0]["data"].as_array().unwrap().len(), 12);
    let request = asked(binary, Input::F32(vec![1, 2, 2, 3])).await;
    let told = String::from_utf8_lossy(&request.body);
    assert!(told.contains(r#""binary_data_size":48"#), "{told}");
}

#[tokio::test]
async fn a_model_that_takes_something_else_or_is_not_there_is_told() {
    let server = Server::start(Duration::ZERO, plain);
    for (model, input, said) in [
        ("m", Input::U8(vec![1]), "pixels (FP32), photo (BYTES)"),
        ("n", Input::Photo, "no such model"),
    ] {
        let protocol = Protocol::Oip {
            model: model.to_owned(),
            input,
        };
        let error = Target::find(&server.url(), &protocol, &[], &[])
            .await
            .unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
