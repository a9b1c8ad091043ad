//! `POST /predict`: images in, the article's JSON out.
//!
//! Must not know: how images become jobs.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::ask::{self, Manner};
use super::said;
use super::submit::submit;
use crate::edge::Edge;

/// Classifies images.
#[utoipa::path(
    post,
    path = "/predict",
    tag = "images",
    operation_id = "predict",
    params(ask::Query, ask::Headers),
    responses(
        (status = 200, description = "the labels",
            body = inline(said::Answers<'static>),
            headers(
                ("X-Job-Id" = String, description = "the job, if there is one"),
                ("Server-Timing" = String, description = "decode, queue and infer, in milliseconds")
            ),
            example = json!({"success": true, "predictions": [{"label": "Egyptian_cat", "probability": 0.769}]})),
        (status = 202, description = "the job goes on: you preferred not to wait",
            body = inline(said::Named<'static>),
            headers(
                ("X-Job-Id" = String, description = "the job, if there is one"),
                ("Location" = String, description = "where the job is, if there is one")
            ),
            links(
                ("look" = (operation_id = "look_at_job", parameters(("id" = "$response.header.X-Job-Id")))),
                ("events" = (operation_id = "watch_job", parameters(("id" = "$response.header.X-Job-Id")))),
                ("delete" = (operation_id = "take_job_back", parameters(("id" = "$response.header.X-Job-Id"))))
            )),
        (status = 207, description = "several images, which fared differently", body = said::Items<'static>)
    )
)]
pub(super) async fn predict(
    request: HttpRequest,
    payload: Payload,
    edge: Data<Edge>,
) -> HttpResponse {
    submit(&request, payload, &edge, Manner::Answer).await
}
