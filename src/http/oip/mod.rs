//! The Open Inference Protocol over HTTP: the pages below `/v2`.
//!
//! Must not know: how images are classified, gRPC.

mod answer;
mod asked;
mod infer;
mod json;
mod look;
mod said;

use std::collections::BTreeMap;

use actix_web::Route;
use actix_web::web::{self, ServiceConfig};
use utoipa::OpenApi;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Required, path::Paths};

pub(super) use answer::{refused, status};
pub(super) use asked::request;

use crate::oip::model::VERSION;

/// A model without its version.
const MODEL: &str = "/v2/models/{name}";

/// What each handler says of itself.
#[derive(OpenApi)]
#[openapi(
    paths(
        look::server,
        look::live,
        look::ready,
        look::model,
        look::model_ready,
        look::config,
        look::index,
        infer::infer,
    ),
    components(schemas(said::InferenceError))
)]
pub(super) struct Pages;

/// All pages. Each model's are there with a version and without.
pub(super) fn pages(routes: &mut ServiceConfig) {
    routes
        .service(
            web::resource(["/v2", "/v2/"])
                .get(look::server)
                .default_service(only("GET")),
        )
        .service(
            web::resource("/v2/health/live")
                .get(look::live)
                .default_service(only("GET")),
        )
        .service(
            web::resource("/v2/health/ready")
                .get(look::ready)
                .default_service(only("GET")),
        )
        .service(
            web::resource("/v2/repository/index")
                .post(look::index)
                .default_service(only("POST")),
        )
        .service(
            web::resource(["/v2/models/{name}", "/v2/models/{name}/versions/{version}"])
                .get(look::model)
                .default_service(only("GET")),
        )
        .service(
            web::resource([
                "/v2/models/{name}/ready",
                "/v2/models/{name}/versions/{version}/ready",
            ])
            .get(look::model_ready)
            .default_service(only("GET")),
        )
        .service(
            web::resource([
                "/v2/models/{name}/config",
                "/v2/models/{name}/versions/{version}/config",
            ])
            .get(look::config)
            .default_service(only("GET")),
        )
        .service(
            web::resource([
                "/v2/models/{name}/infer",
                "/v2/models/{name}/versions/{version}/infer",
            ])
            .post(infer::infer)
            .default_service(only("POST")),
        )
        .service(web::scope("/v2").default_service(web::to(answer::no_page)));
}

/// Whether a page is of the protocol.
pub(super) fn has(path: &str) -> bool {
    path.strip_prefix("/v2")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn only(allowed: &'static str) -> Route {
    web::to(move || answer::wrong_method(allowed))
}

/// Says of every page of a model that it is there with the version as well.
pub(super) fn add_versions(paths: &mut Paths) {
    let of_versions: BTreeMap<String, PathItem> = paths
        .paths
        .iter()
        .filter_map(|(path, item)| {
            let rest = path.strip_prefix(MODEL)?;
            let path = format!("{MODEL}/versions/{{version}}{rest}");
            Some((path, of_version(item.clone())))
        })
        .collect();
    paths.paths.extend(of_versions);
}

fn of_version(mut item: PathItem) -> PathItem {
    let version = ParameterBuilder::new()
        .name("version")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("the only one there is"))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some([VERSION])),
        ))
        .build();
    for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(version.clone().into());
        if let Some(id) = &mut operation.operation_id {
            id.push_str("_of_version");
        }
    }
    item
}
