//! How a job that has ended is told to whoever asked for it.
//!
//! Pure. Must not know: HTTP, actors, who waits.

use super::record::Record;
use crate::error::{ErrorCode, Refusal};
use crate::store::{JobState, JobView};

/// The answer of a job in a final state, or why there is none.
///
/// # Errors
/// The refusal to give.
pub fn of(job: &JobView) -> Result<Record, Refusal> {
    match job.state {
        JobState::Done => {
            let record = job.result.as_deref().and_then(Record::from_bytes);
            record.ok_or_else(|| {
                let message = "the job's result is not kept any more: send the image again";
                Refusal::new(ErrorCode::UnknownJob, message)
            })
        }
        JobState::Dead => {
            let reason = job.reason.as_deref().unwrap_or("no reason is on record");
            let message = format!(
                "every attempt at this image failed ({reason}): it is kept as a dead letter and can be retried"
            );
            Err(Refusal::new(ErrorCode::DeadLetter, message))
        }
        JobState::Expired => {
            let message = "the deadline passed before the image came to its turn";
            Err(Refusal::new(ErrorCode::TimedOut, message))
        }
        JobState::Cancelled => Err(Refusal::new(ErrorCode::Cancelled, "the job was cancelled")),
        JobState::Queued | JobState::Running => {
            Err(Refusal::new(ErrorCode::Lost, "the job has not ended yet"))
        }
    }
}

/// The refusal for a job that the store knows nothing of.
#[must_use]
pub fn forgotten() -> Refusal {
    let message = "nothing is known of this job: it was never accepted, or too long ago";
    Refusal::new(ErrorCode::UnknownJob, message)
}
