//! What a look into Redis tells of the jobs that a process holds.
//!
//! Must not know: who looks.

use crate::redis_server::RedisServer;

/// What every key begins with.
const PREFIX: &str = "{beagle:0}:";

/// The jobs that a process has claimed and not ended; with `running`, those given to its model alone.
pub(crate) fn held_by(shards: &[RedisServer], pid: u32, running: bool) -> Vec<String> {
    let mut held = Vec::new();
    for shard in shards {
        let live: Vec<String> = shard.run(&format!("ZRANGE {PREFIX}live 0 -1"));
        for id in live {
            let of: Vec<Option<String>> = shard.run(&format!("HMGET {PREFIX}j:{id} owner state"));
            let [Some(owner), Some(state)] = &of[..] else {
                continue;
            };
            let its_own = owner.starts_with(&format!("{pid}-"));
            if its_own && (!running || state == "running") {
                held.push(id);
            }
        }
    }
    held
}

/// Whether none of these jobs is queued or running any more.
pub(crate) fn have_ended(shards: &[RedisServer], ids: &[String]) -> bool {
    ids.iter().all(|id| {
        shards.iter().all(|shard| {
            let score: Option<f64> = shard.run(&format!("ZSCORE {PREFIX}live {id}"));
            score.is_none()
        })
    })
}

/// When each job ended and with what.
pub(crate) fn ends(shards: &[RedisServer], ids: &[String]) -> Vec<Vec<Option<String>>> {
    let end = |id: &String| -> Vec<Option<String>> {
        let of = shards.iter().map(|shard| -> Vec<Option<String>> {
            shard.run(&format!("HMGET {PREFIX}j:{id} finished result"))
        });
        of.flatten().collect()
    };
    ids.iter().map(end).collect()
}
