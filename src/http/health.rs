//! `GET /healthz`: the process runs. `GET /readyz`: it can do its work, or why not.
//!
//! Must not know: how health is found out.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use crate::health::Health;

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

pub(super) async fn ready(health: Data<Health>) -> HttpResponse {
    let reasons = health.reasons();
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({"status": "ready"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "not ready", "reasons": reasons}))
    }
}
