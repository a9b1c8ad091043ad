//! The contract over three shards.

use super::Shards;
use crate::contract::{durable_store, every_store};

every_store!(Shards<3>);
durable_store!(Shards<3>);
