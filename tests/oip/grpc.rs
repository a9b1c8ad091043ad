//! What gRPC does.

use beagle::grpc::proto::infer_parameter::ParameterChoice;
use beagle::grpc::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use beagle::grpc::proto::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
};
use beagle::store::JobState;
use bytes::Bytes;
use tonic::{Code, Request, Status};

use crate::fake::{Act, label, picture};
use crate::server::{Server, pixels};

/// A request of one input with raw contents.
pub(crate) fn raw(name: &str, datatype: &str, shape: &[i64], data: Vec<u8>) -> ModelInferRequest {
    let input = InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: "plain".to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![Bytes::from(data)],
        ..ModelInferRequest::default()
    }
}

/// Images as files with raw contents.
pub(crate) fn images(classes: &[(u8, Act)]) -> ModelInferRequest {
    let files = classes.iter().map(|(class, act)| picture(*class, *act));
    let data: Vec<u8> = files
        .flat_map(|file| [&u32::try_from(file.len()).unwrap().to_le_bytes(), &file[..]].concat())
        .collect();
    raw(
        "image",
        "BYTES",
        &[i64::try_from(classes.len()).unwrap()],
        data,
    )
}

fn typed(
    name: &str,
    datatype: &str,
    shape: &[i64],
    contents: InferTensorContents,
) -> ModelInferRequest {
    let mut request = raw(name, datatype, shape, Vec::new());
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(contents);
    request
}

fn output(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor {
        name: name.to_owned(),
        ..InferRequestedOutputTensor::default()
    }
}

pub(crate) fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter {
        parameter_choice: Some(choice),
    }
}

pub(crate) async fn infer(
    server: &Server,
    request: impl tonic::IntoRequest<ModelInferRequest>,
) -> Result<ModelInferResponse, Status> {
    let mut client = server.client().await;
    let answer = client.model_infer(request).await;
    answer.map(tonic::Response::into_inner)
}

#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(told: Result<T, Status>, code: Code, says: &str) {
    let status = told.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    assert!(
        status.message().contains(says),
        "{says:?} is not in {:?}",
        status.message()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_infers_raw_contents_and_answers_in_raw_contents() {
    let server = Server::start();
    let levels = [pixels(5), pixels(6)].concat();
    let floats = levels
        .iter()
        .flat_map(|level| f32::from(*level).to_le_bytes())
        .collect();
    for mut request in [
        images(&[(5, Act::Answer), (6, Act::Answer)]),
        raw("pixels", "UINT8", &[2, 2, 2, 3], levels),
        raw("pixels_f32", "FP32", &[2, 2, 2, 3], floats),
    ] {
        request.id = "42".to_owned();
        let one = parameter(ParameterChoice::Int64Param(1));
        request.parameters.insert("top".to_owned(), one);
        let told = infer(&server, request).await.unwrap();
        assert_eq!(
            (told.model_name.as_str(), told.model_version.as_str()),
            ("plain", "1")
        );
        assert_eq!(told.id, "42");
        let outputs: Vec<(&str, &str, &[i64])> = told
            .outputs
            .iter()
            .map(|output| (&output.name[..], &output.datatype[..], &output.shape[..]))
            .collect();
        assert_eq!(
            outputs,
            [
                ("label", "BYTES", &[2, 1][..]),
                ("probability", "FP32", &[2, 1])
            ]
        );
        assert!(told.outputs.iter().all(|output| output.contents.is_none()));
        assert_eq!(
            told.raw_output_contents[0][..],
            *b"\x07\0\0\0class_5\x07\0\0\0class_6"
        );
        assert_eq!(told.raw_output_contents[1][..4], 0.9_f32.to_le_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_infers_typed_contents_and_answers_in_typed_contents() {
    let server = Server::start();
    let levels = [pixels(5), pixels(6)].concat();
    let shape = [2, 2, 2, 3];
    let files = [5, 6].map(|class| Bytes::from(picture(class, Act::Answer)));
    for request in [
        typed(
            "image",
            "BYTES",
            &[2],
            InferTensorContents {
                bytes_contents: files.to_vec(),
                ..InferTensorContents::default()
            },
        ),
        typed(
            "pixels",
            "UINT8",
            &shape,
            InferTensorContents {
                uint_contents: levels.iter().copied().map(u32::from).collect(),
                ..InferTensorContents::default()
            },
        ),
        typed(
            "pixels_f32",
            "FP32",
            &shape,
            InferTensorContents {
                fp32_contents: levels.iter().copied().map(f32::from).collect(),
                ..InferTensorContents::default()
            },
        ),
    ] {
        let told = infer(&server, request).await.unwrap();
        assert!(told.raw_output_contents.is_empty());
        let contents = |at: usize| told.outputs[at].contents.clone().unwrap();
        assert_eq!(told.outputs[0].shape, [2, 5]);
        let labels = contents(0).bytes_contents;
        assert_eq!((labels.len(), &labels[5][..]), (10, label(6).as_bytes()));
        let probabilities = contents(1).fp32_contents;
        assert!((probabilities[5] - 0.9).abs() < 1e-6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_gives_the_outputs_that_are_named_and_classifies_as_triton_does() {
    let server = Server::start();
    let mut request = images(&[(9, Act::Answer)]);
    request.model_name = "other".to_owned();
    request.model_version = "1".to_owned();
    request.outputs = vec![output("probabilities")];
    let told = infer(&server, request.clone()).await.unwrap();
    assert_eq!(told.outputs.len(), 1);
    assert_eq!(told.outputs[0].shape, [1, 256]);
    assert_eq!(told.raw_output_contents[0][36..40], 0.9_f32.to_le_bytes());
    let three = parameter(ParameterChoice::Int64Param(3));
    let classification = ("classification".to_owned(), three);
    request.outputs[0].parameters.extend([classification]);
    let told = infer(&server, request).await.unwrap();
    assert_eq!(
        (&told.outputs[0].datatype[..], &told.outputs[0].shape[..]),
        ("BYTES", &[1, 3][..])
    );
    let text = String::from_utf8_lossy(&told.raw_output_contents[0][4..]);
    assert!(text.starts_with("0.9:9:class_9"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_takes_priorities_and_deadlines_as_parameters() {
    let server = Server::start();
    let mut client = server.client().await;
    for (said, name) in [
        (ParameterChoice::Uint64Param(1), "high"),
        (ParameterChoice::Int64Param(3), "low"),
        (ParameterChoice::StringParam("low".to_owned()), "low"),
    ] {
        let mut request = images(&[(1, Act::Answer)]);
        request
            .parameters
            .insert("priority".to_owned(), parameter(said));
        let told = client.model_infer(request).await.unwrap();
        let job = told.metadata().get("x-job-id").unwrap().to_str().unwrap();
        let job = server
            .store
            .job(job.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(job.priority.name(), name);
    }
    let mut request = images(&[(1, Act::Wait)]);
    let timeout = parameter(ParameterChoice::Int64Param(50_000));
    request.parameters.insert("timeout".to_owned(), timeout);
    let told = client.model_infer(request).await;
    assert_refused(told, Code::DeadlineExceeded, "row 0: no answer within 50ms");
    server.wait_for_jobs(1, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_keys_name_every_row_and_one_request() {
    let server = Server::start();
    let keyed = |message: ModelInferRequest, key: &str| {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("idempotency-key", key.parse().unwrap());
        request
    };
    let mut client = server.client().await;
    let rows = || images(&[(1, Act::Answer), (2, Act::Answer)]);
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let told = client.model_infer(keyed(rows(), "order-1")).await.unwrap();
        jobs.push(told.metadata().get("x-job-id").unwrap().clone());
    }
    assert_eq!(jobs[0], jobs[1]);
    let other = images(&[(1, Act::Answer), (3, Act::Answer)]);
    let told = client.model_infer(keyed(other, "order-1")).await;
    assert_refused(told, Code::FailedPrecondition, "row 1: ");
    let told = client.model_infer(keyed(rows(), "order 1")).await;
    assert_refused(told, Code::InvalidArgument, "Idempotency-Key");
}
