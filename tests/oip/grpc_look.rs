//! What gRPC tells without an inference.

use beagle::grpc::proto::model_metadata_response::TensorMetadata;
use beagle::grpc::proto::{
    ModelConfigRequest, ModelMetadataRequest, ModelReadyRequest, RepositoryIndexRequest,
    ServerLiveRequest, ServerMetadataRequest, ServerReadyRequest,
};
use tonic::Code;

use crate::fake::Act;
use crate::grpc::{assert_refused, images, infer};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn grpc_health_is_live_and_ready() {
    let server = Server::start();
    let mut client = server.client().await;
    assert!(
        client
            .server_live(ServerLiveRequest {})
            .await
            .unwrap()
            .into_inner()
            .live
    );
    assert!(
        client
            .server_ready(ServerReadyRequest {})
            .await
            .unwrap()
            .into_inner()
            .ready
    );
    for (name, version, ready) in [
        ("plain", "", true),
        ("other", "1", true),
        ("plain", "2", false),
        ("vgg", "", false),
    ] {
        let (name, version) = (name.to_owned(), version.to_owned());
        let asked = ModelReadyRequest { name, version };
        assert_eq!(
            client.model_ready(asked).await.unwrap().into_inner().ready,
            ready
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_not_ready_without_a_store() {
    let server = Server::start();
    let mut client = server.client().await;
    server.store.close().await.unwrap();
    let until = std::time::Instant::now() + crate::GUARD;
    while client
        .server_ready(ServerReadyRequest {})
        .await
        .unwrap()
        .into_inner()
        .ready
    {
        assert!(std::time::Instant::now() < until, "it is still ready");
    }
    let asked = ModelReadyRequest {
        name: "plain".to_owned(),
        version: String::new(),
    };
    assert!(!client.model_ready(asked).await.unwrap().into_inner().ready);
    assert!(
        client
            .server_live(ServerLiveRequest {})
            .await
            .unwrap()
            .into_inner()
            .live
    );
    let index = client
        .repository_index(RepositoryIndexRequest::default())
        .await;
    assert_eq!(index.unwrap().into_inner().models[0].state, "UNAVAILABLE");
    let ready = RepositoryIndexRequest {
        ready: true,
        ..RepositoryIndexRequest::default()
    };
    let index = client.repository_index(ready).await.unwrap().into_inner();
    assert!(index.models.is_empty());
    let told = infer(&server, images(&[(1, Act::Answer)])).await;
    let status = told.as_ref().unwrap_err();
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    assert_refused(told, Code::Unavailable, "store");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_metadata_is_true() {
    let server = Server::start();
    let mut client = server.client().await;
    let told = client
        .server_metadata(ServerMetadataRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (told.name.as_str(), told.version.as_str()),
        ("beagle", env!("CARGO_PKG_VERSION"))
    );
    assert!(told.extensions.contains(&"classification".to_owned()));
    let asked = |name: &str, version: &str| ModelMetadataRequest {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    let told = client
        .model_metadata(asked("plain", "1"))
        .await
        .unwrap()
        .into_inner();
    let tensor = |name: &str, datatype: &str, shape: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
    };
    assert_eq!(
        (told.name.as_str(), &told.versions[..]),
        ("plain", &["1".to_owned()][..])
    );
    assert_eq!(told.platform, "beagle_burn");
    assert_eq!(
        told.inputs,
        [
            tensor("image", "BYTES", &[-1]),
            tensor("pixels", "UINT8", &[-1, 2, 2, 3]),
            tensor("pixels_f32", "FP32", &[-1, 2, 2, 3]),
        ]
    );
    assert_eq!(
        told.outputs,
        [
            tensor("label", "BYTES", &[-1, -1]),
            tensor("probability", "FP32", &[-1, -1]),
            tensor("probabilities", "FP32", &[-1, 256]),
        ]
    );
    assert!(told.properties["labels"].ends_with("\nclass_255"));
    let told = client.model_metadata(asked("vgg", "")).await;
    assert_refused(told, Code::NotFound, "this server has plain, other");
    let told = client.model_metadata(asked("plain", "2")).await;
    assert_refused(told, Code::NotFound, "no version '2'");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_tells_a_models_configuration_and_the_index() {
    let server = Server::start();
    let mut client = server.client().await;
    let asked = |name: &str| ModelConfigRequest {
        name: name.to_owned(),
        version: String::new(),
    };
    let told = client
        .model_config(asked("other"))
        .await
        .unwrap()
        .into_inner();
    let config = told.config.unwrap();
    assert_eq!((config.name.as_str(), config.max_batch_size), ("other", 0));
    assert_eq!(
        (config.input[1].data_type, &config.input[1].dims[..]),
        (2, &[-1, 2, 2, 3][..])
    );
    assert_eq!(config.output[0].data_type, 13);
    assert!(
        config.parameters["labels"]
            .string_value
            .starts_with("class_0\n")
    );
    let told = client.model_config(asked("vgg")).await;
    assert_refused(told, Code::NotFound, "no model 'vgg'");
    let told = client
        .repository_index(RepositoryIndexRequest::default())
        .await;
    let models = told.unwrap().into_inner().models;
    let names: Vec<(&str, &str)> = models.iter().map(|m| (&m.name[..], &m.state[..])).collect();
    assert_eq!(names, [("plain", "READY"), ("other", "READY")]);
}
