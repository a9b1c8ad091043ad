//! Keeping the queue in order: what the dead held comes back, the overdue end, the old goes.
//!
//! Jobs that come back go before younger ones of their priority: they wait in `again`, by the
//! number of their arrival, and claims look there first. All that waits in a stream arrived after
//! all that was ever claimed from it, so this is exactly the order of arrival. Must not know: how
//! often it is called, or by how many.

use super::connection::Link;
use super::look::ended_in;
use super::scripts::Scripts;
use crate::store::{JobState, StoreError, Tended};

/// Most rounds of one call; what is left is done by the next.
const ROUNDS: usize = 64;

/// See [`JobStore::tend`](crate::store::JobStore::tend).
pub(super) async fn tend(link: &Link, scripts: &Scripts) -> Result<Tended, StoreError> {
    let mut all = Tended::default();
    for _ in 0..ROUNDS {
        let call = scripts.call(&scripts.tend);
        let (reclaimed, expired, dead, given_up, more): (u64, u64, u64, u64, u8) =
            call.run(link).await?;
        all.reclaimed += reclaimed;
        all.expired += expired;
        all.dead += dead;
        all.given_up += given_up;
        if more == 0 {
            break;
        }
    }
    Ok(all)
}

/// See [`JobStore::purge`](crate::store::JobStore::purge).
pub(super) async fn purge(
    link: &Link,
    scripts: &Scripts,
    state: JobState,
) -> Result<u64, StoreError> {
    let mut all = 0;
    if !state.is_final() {
        return Ok(all);
    }
    for index in ended_in(state) {
        let (mut from, mut end) = (0, false);
        while !end {
            let call = scripts.call(&scripts.purge);
            let call = call.arg(state.name()).arg(from).arg(index);
            let (went, next, last): (u64, u64, u8) = call.run(link).await?;
            all += went;
            from = next;
            end = last == 1;
        }
    }
    Ok(all)
}
