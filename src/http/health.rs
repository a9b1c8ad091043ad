//! `GET /healthz`: the process runs. `GET /readyz`: it can do its work, or why not.
//!
//! Must not know: how health is found out.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use super::signs::Signs;

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

pub(super) async fn ready(signs: Data<Signs>) -> HttpResponse {
    let places = signs.store.places();
    let reasons = signs.health.reasons_with(&places);
    let mut body = if reasons.is_empty() {
        json!({"status": "ready"})
    } else {
        json!({"status": "not ready", "reasons": reasons})
    };
    // One that is down of several takes no new work; the server does.
    if places.len() > 1 {
        body["shards"] = json!(places);
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}
