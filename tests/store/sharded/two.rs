//! The contract over two shards.

use super::Shards;
use crate::contract::{durable_store, every_store};

every_store!(Shards<2>);
durable_store!(Shards<2>);
