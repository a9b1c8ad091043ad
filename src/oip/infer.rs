//! A planned inference on its way: each row a job of its own, all of them or none.
//!
//! Must not know: which protocol, stages.

use std::time::Duration;

use bytes::Bytes;

use super::output;
use super::plan::Plan;
use super::rows::Rows;
use super::tensor::Output;
use crate::access::caller::Caller;
use crate::edge::{Edge, Image, Patience};
use crate::error::Refusal;
use crate::message::{Ask, Form};
use crate::store::{JobId, UnixMillis};
use crate::ticket::Place;

/// An inference that was done.
#[derive(Debug)]
pub(crate) struct Inferred {
    /// The outputs.
    pub(crate) outputs: Vec<Output>,
    /// The jobs, row by row.
    pub(crate) jobs: Vec<JobId>,
}

/// Beside the request itself.
#[derive(Debug)]
pub(crate) struct Around {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The span of the request, as W3C Trace Context writes it.
    pub(crate) traceparent: Option<String>,
    /// The caller's key.
    pub(crate) key: Option<String>,
    /// No answer is wanted after this, if it is less than the request says.
    pub(crate) timeout: Option<Duration>,
    /// What the request's bytes hold.
    pub(crate) place: Place,
}

/// Has every row classified. If one cannot be, the others are taken back, unless there is a key.
///
/// # Errors
/// Why there is no answer, naming the row.
pub(crate) async fn infer(
    edge: &Edge,
    plan: &Plan,
    rows: Rows,
    around: Around,
) -> Result<Inferred, Refusal> {
    let form = rows.form;
    let images = placed(edge, rows, around.place)?;
    let timeouts = [plan.said.timeout, around.timeout].into_iter().flatten();
    let wait = timeouts.fold(edge.times.request_timeout, Duration::min);
    let keep = around.key.is_some();
    let lives = if keep { edge.times.keep_for } else { wait };
    let priority = around.caller.priority(plan.said.priority)?;
    let ask = Ask {
        caller: around.caller,
        callback: None,
        traceparent: around.traceparent,
        profile: plan.model.clone(),
        top: plan.top(),
        priority,
        deadline: UnixMillis::now().after(lives),
        idempotency_key: around.key,
        keep,
    };
    let patience = Patience {
        wait,
        respond_async: false,
    };
    let pending = edge.submit_as(form, images, &ask, patience)?;
    let answers = edge.answers(pending, wait).await;
    let answers = answers.map_err(|(row, refusal)| Refusal {
        message: format!("row {row}: {}", refusal.message),
        ..refusal
    })?;
    let rows: Vec<_> = answers
        .iter()
        .map(|answer| &answer.predictions[..])
        .collect();
    Ok(Inferred {
        outputs: output::of(plan, &rows)?,
        jobs: answers.iter().map(|answer| answer.id).collect(),
    })
}

/// Gives each row a place of its own, and bytes of its own: pixels wait in the queue, and what they
/// were sent with should not wait with them. A single file keeps what the request has.
fn placed(edge: &Edge, rows: Rows, whole: Place) -> Result<Vec<Result<Image, Refusal>>, Refusal> {
    let Rows { form, mut images } = rows;
    if form == Form::File && images.len() == 1 {
        let place = Some(whole).into_iter();
        let images = images.drain(..).zip(place);
        return Ok(images
            .map(|(bytes, place)| Ok(Image { bytes, place }))
            .collect());
    }
    let placed = |row: Bytes| {
        let mut place = edge.admission.enter()?;
        edge.admission.add_bytes(&mut place, row.len())?;
        let bytes = Bytes::copy_from_slice(&row);
        Ok(Ok(Image { bytes, place }))
    };
    images.into_iter().map(placed).collect()
}
