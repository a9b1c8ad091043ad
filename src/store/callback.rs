//! What a caller wants to be told of a job's end, and where.
//!
//! Must not know: any particular store, HTTP, how it is told.

/// Where a caller wants to be told how its job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Who is called, 1 to 2048 bytes.
    pub url: String,
}
