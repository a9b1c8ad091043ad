//! Keys and TLS hold for gRPC as they do for HTTP.

use std::fs;
use std::sync::Arc;

use beagle::access::Access;
use beagle::access::secret::Secret;
use beagle::grpc::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use beagle::grpc::proto::infer_parameter::ParameterChoice;
use beagle::grpc::proto::{ModelInferRequest, ServerLiveRequest, ServerMetadataRequest};
use beagle::tls::{Files, Tls};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};

use crate::fake::Act;
use crate::grpc::{assert_refused, images, infer, parameter};
use crate::server::Server;

/// A server with a key for each of these settings, the secrets, and the folder of the file.
fn locked(settings: &[&str]) -> (Server, Vec<String>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let secrets: Vec<Secret> = settings.iter().map(|_| Secret::new().unwrap()).collect();
    let tables = secrets.iter().zip(settings).zip('a'..);
    let tables: String = tables
        .map(|((secret, settings), id)| {
            format!("[{id}]\nsha256 = \"{}\"\n{settings}\n", secret.digest())
        })
        .collect();
    let path = folder.path().join("keys.toml");
    fs::write(&path, tables).unwrap();
    let access = Arc::new(Access::with_keys(path).unwrap());
    let server = Server::with(|settings| settings.door.access = access);
    let secrets = secrets.iter().map(|secret| secret.as_str().to_owned());
    (server, secrets.collect(), folder)
}

/// A request that shows a key, or something else, in one of the two places for it.
fn showing(name: &'static str, value: &str) -> Request<ModelInferRequest> {
    let mut request = Request::new(images(&[(3, Act::Answer)]));
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_grpc_answers_nothing_but_whether_it_lives() {
    let (server, secrets, _folder) = locked(&[""]);
    let mut client = server.client().await;
    let live = client.server_live(ServerLiveRequest {}).await.unwrap();
    assert!(live.into_inner().live);
    let metadata = client.server_metadata(ServerMetadataRequest {}).await;
    assert_refused(metadata, Code::Unauthenticated, "key");
    let unnamed = infer(&server, images(&[(3, Act::Answer)])).await;
    assert_refused(unnamed, Code::Unauthenticated, "key");
    let guessed = infer(&server, showing("x-api-key", "guessed")).await;
    assert_refused(guessed, Code::Unauthenticated, "key");
    infer(&server, showing("x-api-key", &secrets[0]))
        .await
        .unwrap();
    let bearer = format!("Bearer {}", secrets[0]);
    infer(&server, showing("authorization", &bearer))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_bounds_hold_over_grpc() {
    let (server, secrets, _folder) = locked(&["priority = \"normal\"\nin-flight = 1", ""]);
    let mut urgent = showing("x-api-key", &secrets[0]);
    let high = parameter(ParameterChoice::Int64Param(1));
    urgent
        .get_mut()
        .parameters
        .insert("priority".to_owned(), high);
    assert_refused(
        infer(&server, urgent).await,
        Code::PermissionDenied,
        "priority",
    );
    let mut two = showing("x-api-key", &secrets[0]);
    *two.get_mut() = images(&[(1, Act::Answer), (2, Act::Answer)]);
    let refused = infer(&server, two).await;
    assert_eq!(refused.unwrap_err().code(), Code::ResourceExhausted);
    // The same name of two callers is two jobs.
    let mut jobs = Vec::new();
    for secret in &secrets {
        let mut request = showing("x-api-key", secret);
        let name = "same".parse().unwrap();
        request.metadata_mut().insert("idempotency-key", name);
        let answer = server.client().await.model_infer(request).await.unwrap();
        jobs.push(answer.metadata().get("x-job-id").unwrap().clone());
    }
    assert_ne!(jobs[0], jobs[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_over_grpc_and_nothing_else_then() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = Files {
        cert: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        client_ca: None,
    };
    fs::write(&files.cert, pair.cert.pem()).unwrap();
    fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
    let tls = Arc::new(Tls::open(files).unwrap());
    let server = Server::with(|settings| settings.door.tls = Some(tls));
    let config = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(pair.cert.pem()))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", server.grpc_addr())).unwrap();
    let channel = endpoint
        .tls_config(config)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = GrpcInferenceServiceClient::new(channel);
    let answer = client
        .model_infer(images(&[(3, Act::Answer)]))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().outputs.len(), 2);
    let plain = Endpoint::from_shared(format!("http://{}", server.grpc_addr())).unwrap();
    let refused = match plain.connect().await {
        Err(_) => true,
        Ok(channel) => {
            let mut client = GrpcInferenceServiceClient::new(channel);
            client.server_live(ServerLiveRequest {}).await.is_err()
        }
    };
    assert!(refused);
}
