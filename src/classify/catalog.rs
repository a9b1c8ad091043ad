//! What is served: profiles by name, and the network that each needs.
//!
//! Must not know: burn, where a network runs, HTTP.

use std::sync::Arc;

use model_import::labels::Labels;
use model_import::profile::Geometry;

use crate::batch::policy::Lane;

/// A profile as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// Photo to input pixels.
    pub geometry: Geometry,
    /// Which network it needs: profiles of one lane share their batches.
    pub lane: Lane,
    /// Names of the network's classes.
    pub labels: Labels,
}

/// The profiles of this server, the default first. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<[Arc<Served>]>);

impl Catalog {
    /// A catalog of at least one profile, the default first. `None` if there is none.
    #[must_use]
    pub fn new(profiles: Vec<Served>) -> Option<Self> {
        let served: Arc<[_]> = profiles.into_iter().map(Arc::new).collect();
        (!served.is_empty()).then_some(Self(served))
    }

    /// What is meant when nothing is said.
    #[must_use]
    pub fn default_profile(&self) -> &Arc<Served> {
        &self.0[0]
    }

    /// The profile of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Served>> {
        self.iter().find(|served| served.name == name)
    }

    /// All of them, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.0.iter()
    }

    /// Labels of a lane's network.
    #[must_use]
    pub fn labels(&self, lane: Lane) -> Option<&Labels> {
        let of_lane = self.iter().find(|served| served.lane == lane);
        of_lane.map(|served| &served.labels)
    }
}
