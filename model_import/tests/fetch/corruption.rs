//! Flipped bytes, short and long files, whatever the way in: refused and named.

use std::fs;

use model_import::fetch::{Fault, FetchError, SourceError};

use crate::fake_npm::FakeNpm;
use crate::fixture::{
    Lab, SHARD_2, content, flip, good_entries, good_tgz, manifest, write_folder, write_tgz,
};
use crate::server::{Plan, Server};

/// Damages the cached second shard in some way, fetches again, and gives what was said.
fn refetch(damage: impl FnOnce(&Lab)) -> String {
    let lab = Lab::filled();
    let server = Server::start(Plan::Healthy);
    damage(&lab);
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    lab.assert_installed(&fetcher.fetch().unwrap());
    server.assert_hits_each(1);
    lab.notes()
}

#[test]
fn one_flipped_byte_in_any_cached_file_is_named_and_fetched_again() {
    for file in manifest().files {
        for at in [0, file.bytes as usize / 2, file.bytes as usize - 1] {
            let notes = refetch(|lab| flip(&lab.entry().join(file.name), at));
            let said = format!(
                "are refused: {} was altered: expected SHA-256 {}, found ",
                file.name, file.sha256
            );
            assert!(notes.contains(&said), "{notes}");
            assert!(notes.contains("fetching them again"), "{notes}");
        }
    }
}

#[test]
fn a_short_long_or_missing_cached_file_is_named_and_fetched_again() {
    let shard = |lab: &Lab| lab.entry().join(SHARD_2);
    let good = content(SHARD_2);
    let notes = refetch(|lab| fs::write(shard(lab), &good[..1000]).unwrap());
    let said = format!("{SHARD_2} is truncated: expected 200003 bytes, found 1000");
    assert!(notes.contains(&said), "{notes}");
    let notes = refetch(|lab| fs::write(shard(lab), [&good[..], b"x"].concat()).unwrap());
    let said = format!("{SHARD_2} is too long: expected 200003 bytes, found more");
    assert!(notes.contains(&said), "{notes}");
    let notes = refetch(|lab| fs::remove_file(shard(lab)).unwrap());
    assert!(notes.contains(&format!("{SHARD_2} is missing")), "{notes}");
    let notes = refetch(|lab| {
        fs::remove_file(shard(lab)).unwrap();
        fs::create_dir(shard(lab)).unwrap();
    });
    let said = format!("{SHARD_2} could not be read past byte 0");
    assert!(notes.contains(&said), "{notes}");
}

#[test]
fn a_file_where_the_cached_folder_should_be_makes_way() {
    refetch(|lab| {
        fs::remove_dir_all(lab.entry()).unwrap();
        fs::write(lab.entry(), "in the way").unwrap();
    });
}

#[test]
fn offline_a_flipped_byte_is_named_each_time_and_the_cache_is_left_alone() {
    let lab = Lab::filled();
    let shard = lab.entry().join(SHARD_2);
    flip(&shard, 12_345);
    let before = fs::read(&shard).unwrap();
    let mut fetcher = lab.fetcher();
    fetcher.offline = true;
    for _ in 0..2 {
        let error = fetcher.fetch().unwrap_err();
        let FetchError::Unavailable { tried, .. } = &error else {
            panic!("{error}")
        };
        assert!(matches!(
            tried[0].reason,
            SourceError::Damaged {
                file: SHARD_2,
                fault: Fault::Digest { .. }
            }
        ));
        let text = error.to_string();
        assert!(text.contains(&format!("{SHARD_2} was altered")), "{text}");
    }
    assert!(fs::read(&shard).unwrap() == before);
}

#[test]
fn a_damaged_cache_is_named_among_the_sources_when_all_fail_and_is_left_alone() {
    let lab = Lab::filled();
    flip(&lab.entry().join(SHARD_2), 1);
    let text = lab.fetcher().fetch().unwrap_err().to_string();
    assert!(text.contains(&format!("{SHARD_2} was altered")), "{text}");
    assert!(text.contains("npm pack made_up@0.0.1: "), "{text}");
    assert!(lab.entry().join(SHARD_2).exists());
    assert_eq!(lab.left_over(), Vec::<String>::new());
}

#[test]
fn a_truncated_altered_or_long_file_from_the_repository_is_refused_and_named() {
    let cases = [
        (Plan::Cut(SHARD_2), "could not be read past byte 10000", 3),
        (
            Plan::Half(SHARD_2),
            "is truncated: expected 200003 bytes, found 100001",
            3,
        ),
        (
            Plan::Longer(SHARD_2),
            "is too long: expected 200003 bytes",
            1,
        ),
        (Plan::Altered(SHARD_2), "was altered: expected SHA-256 ", 1),
    ];
    for (plan, said, asked) in cases {
        let lab = Lab::new();
        let server = Server::start(plan);
        let mut fetcher = lab.fetcher();
        fetcher.url.clone_from(&server.url);
        let text = fetcher.fetch().unwrap_err().to_string();
        let said = format!("the public repository {}: {SHARD_2} {said}", server.url);
        assert!(text.contains(&said), "{plan:?}: no `{said}` in:\n{text}");
        assert_eq!(server.hits(SHARD_2), asked, "{plan:?}");
        lab.assert_nothing_installed();
    }
}

#[test]
fn an_altered_folder_of_the_user_is_refused_and_nothing_else_is_tried() {
    let lab = Lab::new();
    let (server, npm) = (Server::start(Plan::Healthy), FakeNpm::failing(&lab));
    write_folder(&lab.path("given"));
    flip(&lab.path("given").join(SHARD_2), 1);
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    fetcher.npm = npm.command().into();
    fetcher.from = Some(lab.path("given"));
    let text = fetcher.fetch().unwrap_err().to_string();
    assert!(
        text.contains(&format!("given was refused: {SHARD_2} was altered")),
        "{text}"
    );
    assert!(text.contains("Nothing was installed"), "{text}");
    assert_eq!((server.all_hits(), npm.calls().len()), (0, 0));
    lab.assert_nothing_installed();
}

#[test]
fn an_incomplete_folder_of_the_user_is_refused_by_the_file_that_is_missing() {
    for missing in ["model.json", SHARD_2] {
        let lab = Lab::new();
        write_folder(&lab.path("given/package/Net"));
        fs::remove_file(lab.path("given/package/Net").join(missing)).unwrap();
        let mut fetcher = lab.fetcher();
        fetcher.from = Some(lab.path("given"));
        let text = fetcher.fetch().unwrap_err().to_string();
        assert!(text.contains(&format!("{missing} is missing")), "{text}");
        lab.assert_nothing_installed();
    }
}

#[test]
fn an_altered_archive_of_the_user_is_refused_by_the_file_that_is_wrong() {
    let lab = Lab::new();
    let mut entries = good_entries();
    let bad = entries
        .iter_mut()
        .find(|entry| entry.name.ends_with(SHARD_2));
    bad.unwrap().content[200_002] ^= 0x80;
    write_tgz(&lab.path("given.tgz"), &entries);
    let mut fetcher = lab.fetcher();
    fetcher.from = Some(lab.path("given.tgz"));
    let text = fetcher.fetch().unwrap_err().to_string();
    assert!(
        text.contains(&format!("given.tgz was refused: {SHARD_2} was altered")),
        "{text}"
    );
    lab.assert_nothing_installed();
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let lab = Lab::new();
    let whole = fs::read(good_tgz(&lab)).unwrap();
    let given = lab.path("given.tgz");
    // The last bytes hold gzip's checksum and tar's end mark, after the last pinned byte.
    for cut in (0..whole.len() - 1_000).step_by(whole.len() / 23) {
        fs::write(&given, &whole[..cut]).unwrap();
        let mut fetcher = lab.fetcher();
        fetcher.from = Some(given.clone());
        let error = fetcher.fetch().unwrap_err();
        assert!(matches!(error, FetchError::From { .. }), "{cut}: {error}");
        lab.assert_nothing_installed();
    }
}

/// A flip in a time stamp or a mode does no harm; whatever is accepted is what was pinned.
#[test]
fn an_archive_with_any_bit_flipped_never_installs_anything_but_the_pinned_bytes() {
    let lab = Lab::new();
    let whole = fs::read(good_tgz(&lab)).unwrap();
    let given = lab.path("given.tgz");
    let mut refused = 0;
    for at in (0..whole.len()).step_by(whole.len() / 61) {
        fs::write(&given, &whole).unwrap();
        flip(&given, at);
        let mut fetcher = lab.fetcher();
        fetcher.from = Some(given.clone());
        match fetcher.fetch() {
            Ok(weights) => {
                lab.assert_installed(&weights);
                fs::remove_dir_all(lab.entry()).unwrap();
            }
            Err(FetchError::From { .. }) => {
                refused += 1;
                lab.assert_nothing_installed();
            }
            Err(error) => panic!("{at}: {error}"),
        }
    }
    assert!(refused > 50, "only {refused} of 62 flips were noticed");
}
