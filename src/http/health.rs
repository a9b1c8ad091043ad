//! `GET /healthz`: the process runs. `GET /readyz`: it can do its work, or why not.
//!
//! Must not know: how health is found out.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use super::signs::Signs;
use crate::health::NO_STORE;
use crate::store::Place;

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// Why the process is not ready; nothing if it is.
pub(super) fn reasons(signs: &Signs, places: &[Place]) -> Vec<&'static str> {
    let mut reasons = signs.health.reasons();
    let none_answers = !places.is_empty() && places.iter().all(|place| place.trouble.is_some());
    if none_answers && !reasons.contains(&NO_STORE) {
        reasons.push(NO_STORE);
    }
    reasons
}

pub(super) async fn ready(signs: Data<Signs>) -> HttpResponse {
    let places = signs.store.places();
    let reasons = reasons(&signs, &places);
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
