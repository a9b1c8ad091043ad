//! From pixels to labels: [`actor`] runs batches on a [`model`], [`networks`] is the one that burn
//! runs, [`top`] picks the best classes, [`catalog`] says what is served.

pub mod catalog;
pub mod model;
pub mod networks;
pub mod top;
pub mod actor;
