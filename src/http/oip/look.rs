//! Health, readiness, metadata and configuration: what the protocol tells without an inference.
//!
//! Must not know: requests for inference.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Deserialize;

use super::answer;
use super::said::{
    self, ConfigParameters, ConfigText, IndexedModel, ModelConfig, ModelMetadata, ModelProperties,
    ServerLive, ServerMetadata, ServerReady, TensorConfig, TensorMetadata,
};
use crate::classify::catalog::Served;
use crate::edge::Edge;
use crate::http::answer as plain;
use crate::oip::error::OipError;
use crate::oip::model::{self, Described, EXTENSIONS, PLATFORM, SERVER, VERSION};

/// A model in a path.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
}

/// Says what the server is.
#[utoipa::path(
    get,
    path = "/v2",
    tag = "Open Inference Protocol",
    operation_id = "inference_server",
    responses(
        (status = 200, description = "what it is", body = said::ServerMetadata)
    )
)]
pub(super) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata {
        name: SERVER,
        version: env!("CARGO_PKG_VERSION"),
        extensions: &EXTENSIONS,
    })
}

/// Says that the process runs.
#[utoipa::path(
    get,
    path = "/v2/health/live",
    tag = "Open Inference Protocol",
    operation_id = "inference_server_live",
    responses(
        (status = 200, description = "it runs", body = said::ServerLive)
    )
)]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(ServerLive { live: true })
}

/// Says whether the server can do its work.
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    tag = "Open Inference Protocol",
    operation_id = "inference_server_ready",
    responses(
        (status = 200, description = "it can", body = said::ServerReady),
        (status = 503, description = "it cannot now", body = said::ServerReady)
    )
)]
pub(super) async fn ready(edge: Data<Edge>) -> HttpResponse {
    let ready = edge.is_ready();
    plain::ready(ready).json(ServerReady { live: ready, ready })
}

/// Says whether a model can be used.
#[utoipa::path(
    get,
    path = "/v2/models/{name}/ready",
    tag = "Open Inference Protocol",
    operation_id = "model_ready",
    params(("name" = String, Path, description = "the model: a profile")),
    responses(
        (status = 200, description = "it can", body = said::ModelReady<'static>),
        (status = 503, description = "it cannot now", body = said::ModelReady<'static>)
    )
)]
pub(super) async fn model_ready(named: Path<Named>, edge: Data<Edge>) -> HttpResponse {
    match model::find(&edge.catalog, &named.name, &named.version) {
        Ok(model) => {
            let ready = edge.is_ready();
            plain::ready(ready).json(said::ModelReady {
                name: &model.name,
                ready,
            })
        }
        Err(error) => refused(error),
    }
}

/// Says what a model takes and gives.
#[utoipa::path(
    get,
    path = "/v2/models/{name}",
    tag = "Open Inference Protocol",
    operation_id = "model_metadata",
    params(("name" = String, Path, description = "the model: a profile")),
    responses(
        (status = 200, description = "its tensors and its labels", body = said::ModelMetadata<'static>)
    )
)]
pub(super) async fn model(named: Path<Named>, edge: Data<Edge>) -> HttpResponse {
    match model::find(&edge.catalog, &named.name, &named.version) {
        Ok(model) => HttpResponse::Ok().json(ModelMetadata {
            name: &model.name,
            versions: [VERSION],
            platform: PLATFORM,
            inputs: model::inputs(model).map(tensor),
            outputs: model::outputs(model).map(tensor),
            properties: ModelProperties {
                labels: model::labels(model),
            },
        }),
        Err(error) => refused(error),
    }
}

fn tensor(described: Described) -> TensorMetadata {
    TensorMetadata {
        name: described.name,
        datatype: described.datatype.name(),
        shape: described.shape,
    }
}

/// Says how a model is set up.
#[utoipa::path(
    get,
    path = "/v2/models/{name}/config",
    tag = "Open Inference Protocol",
    operation_id = "model_config",
    params(("name" = String, Path, description = "the model: a profile")),
    responses(
        (status = 200, description = "the same as Triton writes it", body = said::ModelConfig<'static>)
    )
)]
pub(super) async fn config(named: Path<Named>, edge: Data<Edge>) -> HttpResponse {
    match model::find(&edge.catalog, &named.name, &named.version) {
        Ok(model) => HttpResponse::Ok().json(configuration(model)),
        Err(error) => refused(error),
    }
}

/// Shapes with their first dimension, so Triton's `max_batch_size`, which stands for it, is 0.
fn configuration(model: &Served) -> ModelConfig<'_> {
    let tensor = |described: Described| TensorConfig {
        name: described.name,
        data_type: described.datatype.configured().0,
        dims: described.shape,
    };
    let labels = ConfigText {
        string_value: model::labels(model),
    };
    ModelConfig {
        name: &model.name,
        platform: PLATFORM,
        backend: SERVER,
        max_batch_size: 0,
        input: model::inputs(model).map(tensor),
        output: model::outputs(model).map(tensor),
        parameters: ConfigParameters { labels },
    }
}

/// Lists the models. A body is passed over.
#[utoipa::path(
    post,
    path = "/v2/repository/index",
    tag = "Open Inference Protocol",
    operation_id = "model_index",
    responses(
        (status = 200, description = "all of them", body = Vec<said::IndexedModel<'static>>)
    )
)]
pub(super) async fn index(edge: Data<Edge>) -> HttpResponse {
    let state = model::state(edge.is_ready());
    let models = edge.catalog.iter().map(|model| IndexedModel {
        name: &model.name,
        version: VERSION,
        state,
        reason: "",
    });
    HttpResponse::Ok().json(models.collect::<Vec<_>>())
}

fn refused(error: OipError) -> HttpResponse {
    answer::refused(&error.into())
}
