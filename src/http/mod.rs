//! The edge: one file a resource, [`answer`] for what is said.
//!
//! Must not know: models, images, which store.

pub mod admission;
pub mod ask;
mod answer;
pub mod edge;
mod health;
mod jobs;
mod pending;
mod predict;
mod request_id;
pub mod upload;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpResponse};

use crate::error::{ErrorCode, Refusal};
use edge::Edge;

/// The web application: routes, and what every answer has.
pub fn app(
    edge: Data<Edge>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(edge)
        .wrap(from_fn(request_id::name))
        .service(
            web::resource("/predict")
                .post(predict::predict)
                .default_service(web::to(|| refuse_method("POST"))),
        )
        .service(
            web::resource("/jobs/{id}")
                .get(jobs::get)
                .delete(jobs::delete)
                .default_service(web::to(|| refuse_method("GET or DELETE"))),
        )
        .service(web::resource("/healthz").get(health::live))
        .service(web::resource("/readyz").get(health::ready))
        .default_service(web::to(not_found))
}

async fn refuse_method(allowed: &'static str) -> HttpResponse {
    let message = format!("this page takes {allowed}");
    answer::refused(&Refusal::new(ErrorCode::MethodNotAllowed, message), None)
}

async fn not_found() -> HttpResponse {
    let message = "there is no such page: POST /predict, GET /jobs/{id}, GET /readyz";
    answer::refused(&Refusal::new(ErrorCode::NotFound, message), None)
}
