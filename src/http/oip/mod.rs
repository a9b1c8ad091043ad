//! The Open Inference Protocol over HTTP: the pages below `/v2`.
//!
//! Must not know: how images are classified, gRPC.

mod answer;
mod infer;
mod json;
mod look;

use actix_web::Scope;
use actix_web::web;

/// All pages. Each model's are there with a version and without.
pub(super) fn pages() -> Scope {
    let get =
        |path: &str| web::resource(path).default_service(web::to(|| answer::wrong_method("GET")));
    let post =
        |path: &str| web::resource(path).default_service(web::to(|| answer::wrong_method("POST")));
    let mut pages = web::scope("/v2")
        .service(get("").get(look::server))
        .service(get("/").get(look::server))
        .service(get("/health/live").get(look::live))
        .service(get("/health/ready").get(look::ready))
        .service(post("/repository/index").post(look::index));
    for model in ["/models/{name}", "/models/{name}/versions/{version}"] {
        pages = pages
            .service(get(model).get(look::model))
            .service(get(&format!("{model}/ready")).get(look::model_ready))
            .service(get(&format!("{model}/config")).get(look::config))
            .service(post(&format!("{model}/infer")).post(infer::infer));
    }
    pages.default_service(web::to(answer::no_page))
}
