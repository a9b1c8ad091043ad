//! Ends are told: who is next, and what came of it.
//!
//! Must not know: how jobs come to their end, who tells.

use std::time::Duration;

use super::connection::Link;
use super::reply;
use super::scripts::{Scripts, millis};
use crate::store::{DueDelivery, Outcome, StoreError, Tried, Turn};

/// A job as `deliveries.lua` gives it: its name, which try it is, and the fields that were asked for.
type Row = (String, u32, Vec<Option<Vec<u8>>>);

/// See [`JobStore::claim_deliveries`](crate::store::JobStore::claim_deliveries).
pub(super) async fn claim(
    link: &Link,
    scripts: &Scripts,
    room: usize,
    lease: Duration,
) -> Result<Vec<DueDelivery>, StoreError> {
    let call = scripts.call(&scripts.deliveries).arg(room);
    let call = call.arg(millis(lease)).arg(&reply::VIEW);
    let rows: Vec<Row> = call.run(link).await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for (name, tries, fields) in rows {
        let id = reply::job_id(&name)?;
        let job = reply::view(id, fields)?.ok_or_else(|| reply::damaged(&name))?;
        let ended = job.finished.unwrap_or_default();
        let turn = Turn { id, ended, tries };
        claimed.push(DueDelivery { turn, job });
    }
    Ok(claimed)
}

/// See [`JobStore::settle_deliveries`](crate::store::JobStore::settle_deliveries).
pub(super) async fn settle(
    link: &Link,
    scripts: &Scripts,
    tried: &[Tried],
) -> Result<Vec<bool>, StoreError> {
    let mut call = scripts.call(&scripts.settle);
    for Tried { turn, outcome } in tried {
        let (outcome, wait, reason) = match outcome {
            Outcome::Delivered => ("delivered", 0, ""),
            Outcome::Postponed { after } => ("postponed", millis(*after), ""),
            Outcome::Again { after, reason } => ("again", millis(*after), &reason[..]),
            Outcome::GivenUp { reason } => ("given_up", 0, &reason[..]),
        };
        call = call
            .arg(turn.id.to_string())
            .arg(turn.ended.0)
            .arg(turn.tries);
        call = call.arg(outcome).arg(wait).arg(reason);
    }
    let answers: Vec<u8> = call.run(link).await?;
    Ok(answers.into_iter().map(|answer| answer == 1).collect())
}
