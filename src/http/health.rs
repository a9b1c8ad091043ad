//! `GET /healthz`: the process runs. `GET /readyz`: it can do its work, or why not.
//!
//! Must not know: how health is found out.

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::answer;
use super::said::{self, Live, Ready};
use super::signs::Signs;

/// Says that the process runs.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    operation_id = "is_alive",
    responses((status = 200, description = "it runs", body = said::Live))
)]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Live { status: "ok" })
}

/// Says whether the process can do its work.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    operation_id = "is_ready",
    responses(
        (status = 200, description = "it can", body = said::Ready),
        (status = 503, description = "it cannot, for these reasons", body = said::Ready)
    )
)]
pub(super) async fn ready(signs: Data<Signs>) -> HttpResponse {
    let places = signs.store.places();
    let reasons = signs.health.reasons_with(&places);
    answer::ready(reasons.is_empty()).json(Ready {
        status: if reasons.is_empty() {
            "ready"
        } else {
            "not ready"
        },
        reasons,
        // One that is down of several takes no new work; the server does.
        shards: if places.len() > 1 { places } else { Vec::new() },
    })
}
