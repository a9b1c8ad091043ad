//! Health, readiness, metadata and configuration: what the protocol tells without an inference.
//!
//! Must not know: requests for inference.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer;
use crate::classify::catalog::Served;
use crate::edge::Edge;
use crate::oip::error::OipError;
use crate::oip::model::{self, Described, EXTENSIONS, PLATFORM, SERVER, VERSION};

/// A model in a path.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
}

pub(super) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "name": SERVER,
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": EXTENSIONS,
    }))
}

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"live": true}))
}

/// The specification calls the field `live`, its name `ready`: both are there.
pub(super) async fn ready(edge: Data<Edge>) -> HttpResponse {
    let ready = edge.is_ready();
    told(ready).json(json!({"live": ready, "ready": ready}))
}

pub(super) async fn model_ready(named: Path<Named>, edge: Data<Edge>) -> HttpResponse {
    match model::find(&edge.catalog, &named.name, &named.version) {
        Ok(model) => {
            let ready = edge.is_ready();
            told(ready).json(json!({"name": model.name, "ready": ready}))
        }
        Err(error) => refused(error),
    }
}

fn told(ready: bool) -> actix_web::HttpResponseBuilder {
    if ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    }
}

pub(super) async fn model(named: Path<Named>, edge: Data<Edge>) -> HttpResponse {
    match model::find(&edge.catalog, &named.name, &named.version) {
        Ok(model) => HttpResponse::Ok().json(json!({
            "name": model.name,
            "versions": [VERSION],
            "platform": PLATFORM,
            "inputs": model::inputs(model).map(tensor),
            "outputs": model::outputs(model).map(tensor),
            "properties": {"labels": model::labels(model)},
        })),
        Err(error) => refused(error),
    }
}

fn tensor(described: Described) -> Value {
    json!({
        "name": described.name,
        "datatype": described.datatype.name(),
        "shape": described.shape,
    })
}

pub(super) async fn config(named: Path<Named>, edge: Data<Edge>) -> HttpResponse {
    match model::find(&edge.catalog, &named.name, &named.version) {
        Ok(model) => HttpResponse::Ok().json(configuration(model)),
        Err(error) => refused(error),
    }
}

/// Shapes with their first dimension, so Triton's `max_batch_size`, which stands for it, is 0.
fn configuration(model: &Served) -> Value {
    let tensor = |described: Described| {
        json!({
            "name": described.name,
            "data_type": described.datatype.configured().0,
            "dims": described.shape,
        })
    };
    json!({
        "name": model.name,
        "platform": PLATFORM,
        "backend": SERVER,
        "max_batch_size": 0,
        "input": model::inputs(model).map(tensor),
        "output": model::outputs(model).map(tensor),
        "parameters": {"labels": {"string_value": model::labels(model)}},
    })
}

pub(super) async fn index(edge: Data<Edge>) -> HttpResponse {
    let state = model::state(edge.is_ready());
    let models = edge
        .catalog
        .iter()
        .map(|model| json!({"name": model.name, "version": VERSION, "state": state, "reason": ""}));
    HttpResponse::Ok().json(models.collect::<Vec<_>>())
}

fn refused(error: OipError) -> HttpResponse {
    answer::refused(&error.into())
}
