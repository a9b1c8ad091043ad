//! `GET /metrics`: what this process counts and how it stands, and the count of refusals.
//!
//! Must not know: what is counted elsewhere, which store.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse};
use tokio::time::timeout;

use super::answer::Refused;
use super::signs::Signs;
use crate::metrics::MEDIA_TYPE;
use crate::metrics::figures::Figures;
use crate::observe::Fact;
use crate::store::{Stats, StoreError, UnixMillis};

/// How long the store may take to give its figures: Prometheus itself waits for 10 s in all.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the process counts and how it stands, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "metrics",
    responses(
        (status = 200, description = "text of Prometheus, version 0.0.4", body = String,
            content_type = "text/plain; version=0.0.4")
    )
)]
pub(super) async fn page(signs: Data<Signs>) -> HttpResponse {
    let stats = told(signs.store.stats()).await;
    let places = signs.store.places();
    let figures = Figures {
        now: UnixMillis::now(),
        stats,
        ready: signs.health.reasons_with(&places).is_empty(),
        places,
        warm: if signs.health.is_warm() {
            signs.models
        } else {
            0
        },
        role: signs.role,
    };
    match signs.metrics.page(&figures) {
        Ok(page) => HttpResponse::Ok().content_type(MEDIA_TYPE).body(page),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// What the store says of itself, if it does so in time.
async fn told(stats: impl Future<Output = Result<Stats, StoreError>>) -> Option<Stats> {
    match timeout(PATIENCE, stats).await {
        Ok(Ok(stats)) => Some(stats),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the store gave no figures");
            None
        }
        Err(_) => {
            tracing::debug!("the store gave no figures in time");
            None
        }
    }
}

/// Counts what is refused on its way out.
pub(super) async fn count_refusals(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let signs = request.app_data::<Data<Signs>>().cloned();
    let response = next.call(request).await?;
    if let (Some(signs), Some(refused)) = (signs, response.response().extensions().get::<Refused>())
    {
        for code in &refused.0 {
            signs.observer.saw(Fact::Refused(*code));
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_or_fails_has_no_figures_and_holds_nobody_up() {
        assert_eq!(told(pending()).await, None);
        let down = StoreError::Unavailable("refused".to_owned());
        assert_eq!(told(ready(Err(down))).await, None);
        let stats = Stats {
            queued: 3,
            ..Stats::default()
        };
        assert_eq!(told(ready(Ok(stats.clone()))).await, Some(stats));
    }
}
