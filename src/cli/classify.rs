//! x
use super::Outcome;
use clap::Args;
/// x
#[derive(Debug, Args)]
pub(crate) struct Classify {}
impl Classify {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        Ok(Outcome::Done)
    }
}
