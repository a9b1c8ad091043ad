//! Which shard comes first for a job or a key: rendezvous hashing, and the shards' parts of the
//! bounds.
//!
//! Every process must decide alike, today and after an upgrade, so the hash is SHA-256 and not one
//! that a library may change. A shard more takes its part from each of the others and leaves the
//! order among them as it was. Must not know: Redis, jobs.

use sha2::{Digest as _, Sha256};

use crate::store::StoreLimits;

/// Numbers of all shards, the first choice first.
pub(super) fn order(names: &[String], key: &[u8]) -> Vec<usize> {
    let score = |name: &String| {
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        // No name holds it, so no two pairs of name and key are the same bytes.
        hash.update([0]);
        hash.update(key);
        hash.finalize()
    };
    let mut scored: Vec<_> = names.iter().map(score).zip(0..names.len()).collect();
    scored.sort_by(|one, other| other.cmp(one));
    scored.into_iter().map(|(_, at)| at).collect()
}

/// What one shard may hold of what the whole may: equal parts, what does not divide to the first
/// by name, so that every process shares out alike and the whole is never passed.
pub(super) fn part(whole: &StoreLimits, names: &[String], at: usize) -> StoreLimits {
    let rank = names.iter().filter(|name| **name < names[at]).count() as u64;
    let shards = names.len() as u64;
    let part = |whole: u64| whole / shards + u64::from(rank < whole % shards);
    StoreLimits {
        max_jobs: part(whole.max_jobs),
        max_bytes: part(whole.max_bytes),
        max_dead: part(whole.max_dead),
        max_results: part(whole.max_results),
        max_callbacks: part(whole.max_callbacks),
        ..whole.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("10.0.0.{at}:6379/0")).collect()
    }

    #[test]
    fn the_order_is_the_one_it_has_always_been() {
        // From Python: sorted(range(4), key=lambda at: hashlib.sha256(f"10.0.0.{at}:6379/0".encode()
        // + b"\0" + key.encode()).digest(), reverse=True)
        for (key, wanted) in [
            ("", [2, 0, 3, 1]),
            ("order 1", [3, 1, 0, 2]),
            ("01890a5d-ac96-774b-bcce-b302099a8057", [0, 2, 1, 3]),
            ("\u{fc}ber", [2, 3, 0, 1]),
        ] {
            assert_eq!(order(&names(4), key.as_bytes()), wanted, "{key}");
        }
    }

    #[test]
    fn it_does_not_depend_on_the_order_of_the_names() {
        let forwards = names(5);
        let backwards: Vec<String> = forwards.iter().rev().cloned().collect();
        for key in 0..100_u32 {
            let key = key.to_string();
            let one = order(&forwards, key.as_bytes());
            let other = order(&backwards, key.as_bytes());
            assert_eq!(one, other.iter().map(|at| 4 - at).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_shard_more_moves_its_own_part_alone_and_all_have_about_the_same() {
        const KEYS: usize = 4_000;
        let mut moved = 0;
        let mut first = [0; 4];
        for key in 0..KEYS {
            let key = key.to_string();
            let three = order(&names(3), key.as_bytes());
            let four = order(&names(4), key.as_bytes());
            let without: Vec<usize> = four.iter().copied().filter(|at| *at != 3).collect();
            assert_eq!(without, three);
            first[four[0]] += 1;
            moved += usize::from(four[0] == 3);
        }
        // The keys are fixed, so this is the same on every run.
        assert!(moved.abs_diff(KEYS / 4) < KEYS / 40, "{moved}");
        assert!(
            first.iter().all(|of| KEYS / 4 - KEYS / 40 < *of),
            "{first:?}"
        );
    }

    #[test]
    fn the_parts_make_the_whole() {
        let whole = StoreLimits {
            max_jobs: 20_000,
            max_bytes: 1,
            max_dead: 7,
            max_results: 0,
            ..StoreLimits::default()
        };
        let names = names(3);
        let sum = |of: fn(StoreLimits) -> u64| -> u64 {
            (0..3).map(|at| of(part(&whole, &names, at))).sum()
        };
        assert_eq!(sum(|limits| limits.max_jobs), 20_000);
        assert_eq!(sum(|limits| limits.max_bytes), 1);
        assert_eq!(sum(|limits| limits.max_dead), 7);
        assert_eq!(sum(|limits| limits.max_results), 0);
    }
}
