//! How values become columns, and rows values again.
//!
//! Must not know: transactions, the rules of the queue.

use std::str::FromStr;

use bytes::Bytes;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Result, Row};

use crate::store::{
    Callback, Delivery, DeliveryState, JobId, JobState, JobView, Priority, UnixMillis,
};

/// The columns that [`view`] reads, the result left out.
pub(super) const VIEW: &str = "id, state, profile, top, priority, created, deadline, attempts, finished, reason, \
     callback, traceparent, call_next, call_tries, call_state, call_reason";

impl ToSql for JobId {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for JobId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_str(value.as_str()?).map_err(FromSqlError::other)
    }
}

impl ToSql for UnixMillis {
    /// The largest number of SQLite stands for all later times.
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for UnixMillis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let millis = value.as_i64()?;
        u64::try_from(millis).map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for JobState {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let number = match self {
            Self::Queued => 0,
            Self::Running => 1,
            Self::Dead => 2,
            Self::Done => 3,
            Self::Expired => 4,
            Self::Cancelled => 5,
        };
        Ok(number.into())
    }
}

impl FromSql for JobState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value.as_i64()? {
            0 => Self::Queued,
            1 => Self::Running,
            2 => Self::Dead,
            3 => Self::Done,
            4 => Self::Expired,
            5 => Self::Cancelled,
            other => return Err(FromSqlError::OutOfRange(other)),
        })
    }
}

impl ToSql for DeliveryState {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let number = match self {
            Self::Due => 0,
            Self::Delivered => 1,
            Self::GivenUp => 2,
        };
        Ok(number.into())
    }
}

impl FromSql for DeliveryState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value.as_i64()? {
            0 => Self::Due,
            1 => Self::Delivered,
            2 => Self::GivenUp,
            other => return Err(FromSqlError::OutOfRange(other)),
        })
    }
}

impl ToSql for Priority {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let number = match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        };
        Ok(number.into())
    }
}

impl FromSql for Priority {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value.as_i64()? {
            0 => Self::High,
            1 => Self::Normal,
            2 => Self::Low,
            other => return Err(FromSqlError::OutOfRange(other)),
        })
    }
}

/// A job from the columns of [`VIEW`], and its result from a column `result` if there is one.
pub(super) fn view(row: &Row<'_>) -> Result<JobView> {
    let result = match row.as_ref().column_index("result") {
        Ok(index) => row.get::<_, Option<Vec<u8>>>(index)?.map(Bytes::from),
        Err(_) => None,
    };
    Ok(JobView {
        id: row.get("id")?,
        state: row.get("state")?,
        profile: row.get("profile")?,
        top: row.get("top")?,
        priority: row.get("priority")?,
        created: row.get("created")?,
        deadline: row.get("deadline")?,
        attempts: row.get("attempts")?,
        finished: row.get("finished")?,
        result,
        reason: row.get("reason")?,
        callback: row
            .get::<_, Option<String>>("callback")?
            .map(|url| Callback { url }),
        delivery: delivery(row)?,
        traceparent: row.get("traceparent")?,
    })
}

/// How the telling of the job's end goes.
fn delivery(row: &Row<'_>) -> Result<Option<Delivery>> {
    let next: Option<UnixMillis> = row.get("call_next")?;
    let state = match next {
        Some(_) => Some(DeliveryState::Due),
        None => row.get("call_state")?,
    };
    let Some(state) = state else {
        return Ok(None);
    };
    Ok(Some(Delivery {
        state,
        tries: row.get("call_tries")?,
        reason: row.get("call_reason")?,
    }))
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use rusqlite::Connection;

    use super::*;

    #[track_caller]
    fn comes_back<T: ToSql + FromSql + PartialEq + Debug>(value: &T) {
        let conn = Connection::open_in_memory().unwrap();
        let back: T = conn
            .query_row("SELECT ?", [value], |row| row.get(0))
            .unwrap();
        assert_eq!(&back, value);
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        JobState::ALL.iter().for_each(comes_back);
        Priority::ALL.iter().for_each(comes_back);
        DeliveryState::ALL.iter().for_each(comes_back);
        comes_back(&JobId::new());
        comes_back(&UnixMillis(1_700_000_000_000));
    }

    #[test]
    fn priorities_sort_as_they_go() {
        let conn = Connection::open_in_memory().unwrap();
        let numbers = Priority::ALL.map(|priority| {
            let number = conn.query_row("SELECT ?", [priority], |row| row.get::<_, i64>(0));
            number.unwrap()
        });
        assert!(numbers.is_sorted(), "{numbers:?}");
    }

    #[test]
    fn a_time_beyond_all_numbers_is_the_latest() {
        let conn = Connection::open_in_memory().unwrap();
        let never = UnixMillis(u64::MAX);
        let back: i64 = conn
            .query_row("SELECT ?", [never], |row| row.get(0))
            .unwrap();
        assert_eq!(back, i64::MAX);
    }
}
