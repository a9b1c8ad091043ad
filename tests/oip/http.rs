//! What HTTP tells and does with plain JSON.

use beagle::store::JobState;
use futures_executor::block_on;
use serde_json::{Value, json};

use crate::fake::{Act, label, picture};
use crate::server::{Server, images, output, pixels};

#[test]
fn http_health_is_live_and_ready() {
    let server = Server::start();
    let live = server.get("/v2/health/live");
    assert_eq!((live.status, live.json()), (200, json!({"live": true})));
    let ready = server.get("/v2/health/ready");
    let both = json!({"live": true, "ready": true});
    assert_eq!((ready.status, ready.json()), (200, both));
    for path in [
        "/v2/models/plain/ready",
        "/v2/models/plain/versions/1/ready",
    ] {
        let told = server.get(path);
        let wanted = json!({"name": "plain", "ready": true});
        assert_eq!((told.status, told.json()), (200, wanted), "{path}");
    }
}

#[test]
fn http_is_not_ready_without_a_store() {
    let server = Server::start();
    block_on(server.store.close()).unwrap();
    let until = std::time::Instant::now() + crate::GUARD;
    while server.get("/v2/health/ready").status == 200 {
        assert!(std::time::Instant::now() < until, "it is still ready");
        std::thread::yield_now();
    }
    let told = server.get("/v2/health/ready");
    let neither = json!({"live": false, "ready": false});
    assert_eq!((told.status, told.json()), (503, neither));
    assert_eq!(server.get("/v2/models/plain/ready").status, 503);
    assert_eq!(server.get("/v2/health/live").status, 200);
    let told = server.infer(&images(&[(1, Act::Answer)]));
    told.assert_error(503, "store");
    assert_eq!(told.header("retry-after"), "1");
}

#[test]
fn http_server_metadata_is_true() {
    let server = Server::start();
    for path in ["/v2", "/v2/"] {
        let told = server.get(path).done();
        assert_eq!(told["name"], "beagle");
        assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
        let extensions = [
            "binary_tensor_data",
            "classification",
            "model_configuration",
            "schedule_policy",
        ];
        assert_eq!(told["extensions"], json!(extensions));
    }
}

#[test]
fn http_model_metadata_is_true() {
    let server = Server::start();
    for path in ["/v2/models/plain", "/v2/models/plain/versions/1"] {
        let told = server.get(path).done();
        let labels = told["properties"]["labels"].as_str().unwrap();
        let wanted: Vec<String> = (0..=u8::MAX).map(label).collect();
        assert_eq!(labels.split('\n').collect::<Vec<_>>(), wanted);
        let tensor = |name, datatype, shape: Value| json!({"name": name, "datatype": datatype, "shape": shape});
        assert_eq!(
            (&told["name"], &told["versions"]),
            (&json!("plain"), &json!(["1"]))
        );
        assert_eq!(told["platform"], "beagle_burn");
        assert_eq!(
            told["inputs"],
            json!([
                tensor("image", "BYTES", json!([-1])),
                tensor("pixels", "UINT8", json!([-1, 2, 2, 3])),
                tensor("pixels_f32", "FP32", json!([-1, 2, 2, 3])),
            ])
        );
        assert_eq!(
            told["outputs"],
            json!([
                tensor("label", "BYTES", json!([-1, -1])),
                tensor("probability", "FP32", json!([-1, -1])),
                tensor("probabilities", "FP32", json!([-1, 256])),
            ])
        );
    }
}

#[test]
fn http_tells_a_models_configuration_and_the_index() {
    let server = Server::start();
    let config = server.get("/v2/models/other/config").done();
    assert_eq!(config["name"], "other");
    assert_eq!(config["max_batch_size"], 0);
    let pixels = json!({"name": "pixels", "data_type": "TYPE_UINT8", "dims": [-1, 2, 2, 3]});
    assert_eq!(config["input"][1], pixels);
    assert_eq!(config["output"][0]["data_type"], "TYPE_STRING");
    let labels = config["parameters"]["labels"]["string_value"].as_str();
    assert!(labels.unwrap().ends_with("\nclass_255"));
    let index = server.post("/v2/repository/index", b"", &[]).done();
    let model = |name| json!({"name": name, "version": "1", "state": "READY", "reason": ""});
    assert_eq!(index, json!([model("plain"), model("other")]));
}

#[test]
fn http_infers_an_image_in_json_as_predict_does() {
    let server = Server::start();
    let mut request = images(&[(7, Act::Answer)]);
    request["id"] = json!("42");
    let answer = server.infer(&request).done();
    assert_eq!(answer["model_name"], "plain");
    assert_eq!(answer["model_version"], "1");
    assert_eq!(answer["id"], "42");
    let predicted = server.predict("", &picture(7, Act::Answer));
    let of = |key: &str| -> Vec<Value> {
        let predictions = predicted["predictions"].as_array().unwrap().iter();
        predictions
            .map(|prediction| prediction[key].clone())
            .collect()
    };
    let outputs = answer["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 2);
    assert_eq!(
        outputs[0],
        json!({"name": "label", "datatype": "BYTES", "shape": [1, 5], "data": of("label")})
    );
    assert_eq!(
        outputs[1],
        json!({"name": "probability", "datatype": "FP32", "shape": [1, 5], "data": of("probability")})
    );
    assert!(
        server
            .infer(&images(&[(7, Act::Answer)]))
            .done()
            .get("id")
            .is_none()
    );
}

#[test]
fn http_infers_pixels_flat_and_nested() {
    let server = Server::start();
    let [a, b] = [pixels(3), pixels(250)];
    let both = [&a[..], &b[..]].concat();
    let nested = |pixels: &[u8]| {
        let rows = pixels
            .chunks(6)
            .map(|row| row.chunks(3).collect::<Vec<_>>());
        json!(rows.collect::<Vec<_>>())
    };
    let floats = |pixels: &[u8]| pixels.iter().copied().map(f32::from).collect::<Vec<_>>();
    for (name, datatype, data) in [
        ("pixels", "UINT8", json!(both)),
        ("pixels", "UINT8", json!([nested(&a), nested(&b)])),
        ("pixels", "UINT8", json!(floats(&both))),
        ("pixels_f32", "FP32", json!(floats(&both))),
        ("pixels_f32", "FP32", json!([nested(&a), nested(&b)])),
    ] {
        let request = json!({
            "inputs": [{"name": name, "datatype": datatype, "shape": [2, 2, 2, 3], "data": data}],
            "parameters": {"top": 1},
        });
        let answer = server.infer(&request).done();
        assert_eq!(
            output(&answer, "label")["data"],
            json!([label(3), label(250)])
        );
        assert_eq!(output(&answer, "label")["shape"], json!([2, 1]));
    }
}

#[test]
fn http_gives_the_outputs_that_are_named_in_their_order() {
    let server = Server::start();
    let mut request = images(&[(9, Act::Answer), (200, Act::Answer)]);
    request["outputs"] = json!([{"name": "probabilities"}, {"name": "label"}]);
    request["parameters"] = json!({"top": 2});
    let answer = server.infer(&request).done();
    assert_eq!(answer["outputs"][0]["name"], "probabilities");
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 2);
    let all = output(&answer, "probabilities");
    assert_eq!(all["shape"], json!([2, 256]));
    let all: Vec<f64> = serde_json::from_value(all["data"].clone()).unwrap();
    for (row, class) in all.chunks(256).zip([9, 200]) {
        let sum: f64 = row.iter().sum();
        assert!((row[class] - 0.9).abs() < 1e-6 && (sum - 1.0).abs() < 1e-4);
    }
    assert_eq!(output(&answer, "label")["shape"], json!([2, 2]));
}

#[test]
fn http_classifies_as_triton_does() {
    let server = Server::start();
    let mut request = images(&[(9, Act::Answer)]);
    let classification =
        |count| json!([{"name": "probabilities", "parameters": {"classification": count}}]);
    request["outputs"] = classification(3);
    let answer = server.infer(&request).done();
    let told = output(&answer, "probabilities");
    assert_eq!(
        (&told["datatype"], &told["shape"]),
        (&json!("BYTES"), &json!([1, 3]))
    );
    let best: Vec<&str> = told["data"][0].as_str().unwrap().split(':').collect();
    assert_eq!(best[1..], ["9", "class_9"]);
    assert!((best[0].parse::<f64>().unwrap() - 0.9).abs() < 1e-6);
    assert!(told["data"][1].as_str().unwrap().ends_with(":0:class_0"));
    request["outputs"] = classification(1000);
    let answer = server.infer(&request).done();
    assert_eq!(output(&answer, "probabilities")["shape"], json!([1, 256]));
}

#[test]
fn http_takes_priorities_and_deadlines_as_parameters() {
    let server = Server::start();
    for (said, name) in [
        (json!(1), "high"),
        (json!(0), "normal"),
        (json!("low"), "low"),
    ] {
        let mut request = images(&[(1, Act::Answer)]);
        request["parameters"] = json!({"priority": said});
        let told = server.infer(&request);
        told.done();
        let job = told.header("x-job-id").parse().unwrap();
        let job = block_on(server.store.job(job)).unwrap().unwrap();
        assert_eq!(job.priority.name(), name);
    }
    let mut request = images(&[(1, Act::Wait)]);
    request["parameters"] = json!({"timeout": 50_000});
    server
        .infer(&request)
        .assert_error(504, "row 0: no answer within 50ms");
    server.wait_for_jobs(1, JobState::Cancelled);
}

#[test]
fn http_knows_one_version_of_each_model() {
    let server = Server::start();
    let request = images(&[(1, Act::Answer)]).to_string();
    let told = server.post("/v2/models/other/versions/1/infer", request.as_bytes(), &[]);
    assert_eq!(told.done()["model_name"], "other");
    let told = server.post("/v2/models/other/versions/2/infer", request.as_bytes(), &[]);
    told.assert_error(404, "no version '2'");
    for path in ["", "/ready", "/config"] {
        server
            .get(&format!("/v2/models/plain/versions/7{path}"))
            .assert_error(404, "no version '7'");
        server
            .get(&format!("/v2/models/vgg{path}"))
            .assert_error(404, "this server has plain, other");
    }
    let told = server.post("/v2/models/vgg/infer", request.as_bytes(), &[]);
    told.assert_error(404, "no model 'vgg'");
}

#[test]
fn http_refuses_other_pages_and_methods_in_the_protocols_form() {
    let server = Server::start();
    for path in [
        "/v2/models",
        "/v2/models/plain/stats",
        "/v2/logging",
        "/v2/systemsharedmemory/status",
    ] {
        server.get(path).assert_error(404, "/v2/models/NAME/infer");
    }
    let load = server.post("/v2/repository/models/plain/load", b"{}", &[]);
    load.assert_error(404, "not loaded or unloaded");
    server
        .get("/v2/models/plain/infer")
        .assert_error(405, "POST");
    server
        .post("/v2/health/live", b"", &[])
        .assert_error(405, "GET");
    server.post("/v2", b"", &[]).assert_error(405, "GET");
}
