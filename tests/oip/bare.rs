//! What gRPC's own clients would hide or do themselves: requests of plain HTTP/2.

use std::time::Duration;

use beagle::store::JobState;
use bytes::Bytes;
use h2::client::{self, ResponseFuture};
use h2::{RecvStream, SendStream};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use ureq::http::{HeaderMap, Request, Response};

use crate::GUARD;
use crate::fake::Act;
use crate::grpc::images;
use crate::server::Server;

/// Begins an inference; nothing of the message is sent yet.
async fn begin(server: &Server, headers: &[(&str, &str)]) -> (ResponseFuture, SendStream<Bytes>) {
    let stream = TcpStream::connect(server.grpc_addr()).await.unwrap();
    let (mut client, connection) = client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // How it ends is seen by who waits for the answer.
        let _ = connection.await;
    });
    let mut request = Request::post("http://beagle/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client
        .send_request(request.body(()).unwrap(), false)
        .unwrap()
}

/// An inference behind its head.
fn message(class: u8, act: Act) -> Bytes {
    let message = images(&[(class, act)]).encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    Bytes::from([&[0], &length[..], &message[..]].concat())
}

/// The status that the server gave, in its headers when there is no message.
async fn refused(answer: ResponseFuture) -> (String, String) {
    let answer: Response<RecvStream> = timeout(GUARD, answer).await.unwrap().unwrap();
    let text = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
    let headers = answer.headers();
    (text(headers, "grpc-status"), text(headers, "grpc-message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_callers_own_deadline_is_kept_and_takes_its_jobs_back() {
    let server = Server::start();
    let (answer, mut data) = begin(&server, &[("grpc-timeout", "50m")]).await;
    data.send_data(message(1, Act::Wait), true).unwrap();
    let (status, says) = refused(answer).await;
    assert_eq!(status, "4", "DEADLINE_EXCEEDED: {says}");
    assert!(says.contains("no%20answer%20within"), "{says}");
    server.wait_for_jobs(1, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_requests_that_do_not_arrive_are_ended() {
    let wait = Duration::from_millis(200);
    let server = Server::with(|settings| settings.times.request_timeout = wait);
    let (answer, mut data) = begin(&server, &[]).await;
    data.send_data(message(1, Act::Answer).slice(..20), false)
        .unwrap();
    let (status, says) = refused(answer).await;
    assert_eq!(status, "4", "DEADLINE_EXCEEDED: {says}");
    assert!(says.contains("did"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_messages_that_say_that_they_are_too_large_are_not_waited_for() {
    let server = Server::start();
    let (answer, mut data) = begin(&server, &[]).await;
    data.send_data(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]), false)
        .unwrap();
    let (status, says) = refused(answer).await;
    assert_eq!(status, "8", "RESOURCE_EXHAUSTED: {says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_messages_that_are_damaged_are_refused() {
    let server = Server::start();
    let (answer, mut data) = begin(&server, &[]).await;
    data.send_data(Bytes::from_static(&[0, 0, 0, 0, 2, 0x0a, 9]), true)
        .unwrap();
    let (status, says) = refused(answer).await;
    assert_eq!(status, "3", "INVALID_ARGUMENT: {says}");
}
