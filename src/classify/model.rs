//! What a Classifier asks of a model.
//!
//! Must not know: actors, jobs, which device it is.

use crate::batch::policy::Lane;

/// A set of networks on one device, numbered by lane.
pub trait Model: Send {
    /// Probabilities, a row of classes an image. `pixels` holds whole images one after the other,
    /// `u8`, height x width x 3, as the lane's profiles have them.
    ///
    /// # Errors
    /// Why there are none, for the log and for a dead letter's reason. A model may also panic:
    /// the caller catches it.
    fn probabilities(&mut self, lane: Lane, pixels: Vec<u8>) -> Result<Vec<f32>, String>;
}
