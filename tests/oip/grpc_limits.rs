//! What gRPC refuses, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use beagle::app::Ended;
use beagle::grpc::proto::infer_parameter::ParameterChoice;
use beagle::grpc::proto::model_infer_request::InferInputTensor;
use beagle::grpc::proto::{
    InferTensorContents, ModelInferRequest, ModelMetadataRequest, ServerLiveRequest,
};
use beagle::store::{JobState, StoreLimits};
use bytes::Bytes;
use tonic::{Code, Request};

use crate::fake::Act;
use crate::grpc::{assert_refused, images, infer, parameter, raw};
use crate::server::{Server, pixels};

/// How a client of HTTP/2 begins: the preface, and settings that say nothing.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread")]
async fn grpc_refuses_requests_that_make_no_sense() {
    let server = Server::start();
    let good = || images(&[(1, Act::Answer)]);
    let changed = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let said = |name: &'static str, choice: ParameterChoice| {
        changed(&|request| {
            let value = parameter(choice.clone());
            request.parameters.insert(name.to_owned(), value);
        })
    };
    let cases = [
        (
            changed(&|r| r.inputs.clear()),
            "1 raw_input_contents for 0 inputs",
        ),
        (
            changed(&|r| r.inputs[0].name = "picture".to_owned()),
            "no input 'picture'",
        ),
        (
            changed(&|r| r.inputs[0].datatype = "UINT8".to_owned()),
            "'image' is BYTES",
        ),
        (changed(&|r| r.inputs[0].shape = vec![1, 1]), "shape [-1]"),
        (changed(&|r| r.inputs[0].shape = vec![-1]), "shape [-1]"),
        (
            changed(&|r| r.inputs[0].shape = vec![2]),
            "1 strings of data",
        ),
        (
            changed(&|r| r.raw_input_contents.clear()),
            "nothing in the contents",
        ),
        (
            changed(&|r| r.raw_input_contents.push(Bytes::new())),
            "2 raw_input_contents for 1",
        ),
        (
            changed(&|r| r.inputs[0].contents = Some(InferTensorContents::default())),
            "contents and raw_input_contents",
        ),
        (
            changed(&|r| r.inputs.push(r.inputs[0].clone())),
            "1 raw_input_contents for 2 inputs",
        ),
        (
            changed(&|r| {
                r.inputs.push(r.inputs[0].clone());
                r.raw_input_contents.push(r.raw_input_contents[0].clone());
            }),
            "this one has 2",
        ),
        (
            raw("pixels", "UINT8", &[1, 2, 2, 3], vec![0; 11]),
            "11 bytes of data",
        ),
        (
            raw("pixels_f32", "FP32", &[1, 2, 2, 3], vec![0; 12]),
            "its shape makes 48",
        ),
        (
            raw(
                "pixels_f32",
                "FP32",
                &[1, 2, 2, 3],
                0.5_f32.to_le_bytes().repeat(12),
            ),
            "holds 0.5",
        ),
        (
            raw(
                "pixels_f32",
                "FP32",
                &[1, 2, 2, 3],
                f32::INFINITY.to_le_bytes().repeat(12),
            ),
            "holds inf",
        ),
        (
            said("top", ParameterChoice::Int64Param(0)),
            "from 1 to 1000",
        ),
        (
            said("tpo", ParameterChoice::Int64Param(3)),
            "no parameter 'tpo'",
        ),
        (said("priority", ParameterChoice::Uint64Param(9)), "'high'"),
        (
            said("sequence_id", ParameterChoice::Int64Param(9)),
            "no sequences",
        ),
    ];
    for (request, says) in cases {
        assert_refused(infer(&server, request).await, Code::InvalidArgument, says);
    }
    let mut uints = raw("pixels", "UINT8", &[1, 2, 2, 3], Vec::new());
    uints.raw_input_contents.clear();
    uints.inputs[0].contents = Some(InferTensorContents {
        uint_contents: vec![256; 12],
        ..InferTensorContents::default()
    });
    assert_refused(
        infer(&server, uints).await,
        Code::InvalidArgument,
        "holds 256",
    );
    let unknown = changed(&|request| request.model_name = "vgg".to_owned());
    assert_refused(
        infer(&server, unknown).await,
        Code::NotFound,
        "no model 'vgg'",
    );
    let version = changed(&|request| request.model_version = "2".to_owned());
    assert_refused(
        infer(&server, version).await,
        Code::NotFound,
        "no version '2'",
    );
    assert!(
        server.stage.batches().is_empty(),
        "nothing came to the model"
    );
    infer(&server, good()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_names_the_row_that_cannot_be_done() {
    let server = Server::start();
    let file = b"GIF89a";
    let mut request = images(&[(1, Act::Answer)]);
    request.inputs[0].shape = vec![2];
    let mut data = request.raw_input_contents[0].to_vec();
    data.extend([6, 0, 0, 0]);
    data.extend(file);
    request.raw_input_contents[0] = Bytes::from(data);
    assert_refused(
        infer(&server, request).await,
        Code::InvalidArgument,
        "row 1: ",
    );
    let request = images(&[(1, Act::Answer), (2, Act::Fail)]);
    assert_refused(
        infer(&server, request).await,
        Code::Internal,
        "row 1: every attempt",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_messages_that_are_too_large_are_refused_with_resource_exhausted() {
    let server = Server::with(|settings| settings.body.bytes = 1000);
    let told = infer(&server, raw("image", "BYTES", &[1], vec![0; 1001])).await;
    assert_refused(told, Code::ResourceExhausted, "more than 1000 bytes");
    infer(&server, images(&[(1, Act::Answer)])).await.unwrap();
    let long = ModelMetadataRequest {
        name: "x".repeat(20_000),
        version: String::new(),
    };
    let told = server.client().await.model_metadata(long).await;
    assert_refused(told, Code::ResourceExhausted, "more than 16384 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_messages_that_are_much_in_memory_are_refused_before_they_are_read() {
    let server = Server::start();
    let mut many = images(&[(1, Act::Answer)]);
    many.inputs = vec![InferInputTensor::default(); 5000];
    assert_refused(
        infer(&server, many).await,
        Code::InvalidArgument,
        "too many fields",
    );
    let rows: Vec<(u8, Act)> = (0..41).map(|class| (class, Act::Answer)).collect();
    assert_refused(
        infer(&server, images(&rows)).await,
        Code::InvalidArgument,
        "40 rows",
    );
    infer(&server, images(&rows[..40])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_requests_for_which_there_is_no_room_are_told_when_to_come_again() {
    let server = Server::with(|settings| settings.admission.bytes = 300);
    let rows: Vec<(u8, Act)> = (0..4).map(|class| (class, Act::Answer)).collect();
    let told = infer(&server, images(&rows)).await;
    let metadata = told.as_ref().unwrap_err().metadata().clone();
    let seconds: u64 = metadata
        .get("retry-after")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(metadata.contains_key("grpc-retry-pushback-ms"));
    assert_refused(told, Code::ResourceExhausted, "bytes of uploads");
    infer(&server, images(&rows[..1])).await.unwrap();
    // Numbers of a byte each take four when they are unpacked.
    let mut numbers = raw("pixels", "UINT8", &[8, 2, 2, 3], Vec::new());
    numbers.raw_input_contents.clear();
    numbers.inputs[0].contents = Some(InferTensorContents {
        uint_contents: vec![1; 96],
        ..InferTensorContents::default()
    });
    let told = infer(&server, numbers).await;
    assert_refused(told, Code::ResourceExhausted, "bytes of uploads");

    let limits = StoreLimits {
        max_jobs: 1,
        ..StoreLimits::default()
    };
    let server = Server::on(limits, |_| {});
    let mut client = server.client().await;
    let busy = tokio::spawn(async move { client.model_infer(images(&[(9, Act::Wait)])).await });
    server.wait_for_jobs(1, JobState::Running);
    let told = infer(&server, images(&rows[..1])).await;
    server.stage.open();
    busy.await.unwrap().unwrap();
    assert!(
        told.as_ref()
            .unwrap_err()
            .metadata()
            .contains_key("retry-after")
    );
    assert_refused(told, Code::ResourceExhausted, "row 0: ");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_packed_messages_are_refused() {
    let server = Server::start();
    let mut request = Request::new(images(&[(1, Act::Answer)]));
    request
        .metadata_mut()
        .insert("grpc-encoding", "gzip".parse().unwrap());
    let told = infer(&server, request).await;
    assert_refused(told, Code::Unimplemented, "gzip");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_caller_that_goes_away_takes_its_jobs_back() {
    let server = Server::start();
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.model_infer(images(&[(1, Act::Wait)])).await });
    server.stage.wait_for_batches(1);
    call.abort();
    server.wait_for_jobs(1, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_requests_that_are_open_are_answered_before_the_end() {
    let mut server = Server::start();
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.model_infer(images(&[(3, Act::Wait)])).await });
    server.stage.wait_for_batches(1);
    server.tell_to_stop();
    server.stage.open();
    let told = call.await.unwrap().unwrap().into_inner();
    assert_eq!(told.raw_output_contents[0][4..11], *b"class_3");
    let address = server.grpc_addr();
    assert_eq!(server.stop(), Ended::InOrder);
    assert!(
        TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn a_grpc_client_that_asks_nothing_does_not_hold_up_the_end() {
    let server = Server::start();
    let mut idle = TcpStream::connect(server.grpc_addr()).unwrap();
    idle.write_all(HELLO).unwrap();
    let mut settings = [0; 9];
    idle.set_read_timeout(Some(crate::GUARD)).unwrap();
    idle.read_exact(&mut settings).unwrap();
    let began = Instant::now();
    assert_eq!(server.stop(), Ended::InOrder);
    let took = began.elapsed();
    // It has three quarters of the grace while it waits for an answer.
    assert!(took < crate::GUARD / 2, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_connections_are_bounded() {
    let server = Server::with(|settings| settings.connections = 1);
    let mut first = server.client().await;
    let live = ServerLiveRequest {};
    assert!(first.server_live(live).await.unwrap().into_inner().live);
    let mut second = TcpStream::connect(server.grpc_addr()).unwrap();
    second.write_all(HELLO).unwrap();
    // As long as the first is there the second is not spoken to.
    second.set_nonblocking(true).unwrap();
    for class in 0..50 {
        let request = raw("pixels", "UINT8", &[1, 2, 2, 3], pixels(class));
        first.model_infer(request).await.unwrap();
        let heard = second.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
    }
    drop(first);
    second.set_nonblocking(false).unwrap();
    second.set_read_timeout(Some(crate::GUARD)).unwrap();
    let mut settings = [0; 9];
    second.read_exact(&mut settings).unwrap();
    assert_eq!(settings[3], 4, "the server's SETTINGS");
}
