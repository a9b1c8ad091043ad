//! What a server of a test is told, unless the test says otherwise.

use std::time::Duration;

use beagle::app::Settings;
use beagle::batch::policy::BatchLimits;
use beagle::config::layer::Role;
use beagle::decode::Limits;
use beagle::edge::admission::AdmissionLimits;
use beagle::edge::door::Door;
use beagle::edge::{BodyLimits, Times};

/// Small bounds; nobody waits longer than `guard`.
pub(crate) fn settings(lease: Duration, guard: Duration) -> Settings {
    Settings {
        role: Role::All,
        decoders: 2,
        image: Limits::default(),
        body: BodyLimits {
            bytes: 64 << 10,
            images: 40,
        },
        admission: AdmissionLimits {
            uploads: 64,
            bytes: 1 << 20,
        },
        batch: BatchLimits {
            max_size: 16,
            max_delay: Duration::from_millis(5),
        },
        times: Times {
            request_timeout: guard,
            keep_for: Duration::from_secs(3600),
        },
        lease,
        watchers: 256,
        wedge_timeout: guard,
        credits: 1,
        http_threads: 2,
        connections: 256,
        door: Door::default(),
        drain_delay: Duration::ZERO,
        grace: guard,
        webhook: None,
    }
}
