//! Archives made to do harm: they write nothing outside and take no room to speak of.

use std::fs;
use std::path::Path;

use tar::EntryType;

use crate::fixture::{Entry, Lab, SHARD_2, content, good_entries, write_tgz};

fn fetch_from(lab: &Lab, entries: &[Entry]) -> Result<(), String> {
    write_tgz(&lab.path("given.tgz"), entries);
    let mut fetcher = lab.fetcher();
    fetcher.from = Some(lab.path("given.tgz"));
    let fetched = fetcher.fetch();
    let installed = fetched.map(|weights| lab.assert_installed(&weights));
    installed.map_err(|error| {
        lab.assert_nothing_installed();
        error.to_string()
    })
}

fn link(name: &str, kind: EntryType) -> Entry {
    Entry {
        kind,
        ..Entry::file(name, Vec::new())
    }
}

#[test]
fn names_that_climb_out_and_links_are_passed_over() {
    let lab = Lab::new();
    let evil = || b"evil".to_vec();
    let outside = lab.path("outside");
    let mut entries = vec![
        Entry::file("../outside", evil()),
        Entry::file("package/Net/../../../../../outside", evil()),
        Entry::file(outside.to_str().unwrap(), evil()),
        Entry::file("package/Net/model.json/../model.json", evil()),
        Entry::file("package/Other/model.json", evil()),
        Entry::file("/model.json", evil()),
        link("package/Net/model.json", EntryType::Symlink),
        link("package/Net/group1-shard1of3.bin", EntryType::Link),
        link("package/Net/group1-shard3of3.bin", EntryType::Directory),
        link(SHARD_2, EntryType::Fifo),
        link(SHARD_2, EntryType::Char),
    ];
    entries.extend(good_entries());
    fetch_from(&lab, &entries).unwrap();
    let mut names: Vec<_> = fs::read_dir(lab.root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["given.tgz", "home"]);
    assert!(!Path::new("../outside").exists());
}

#[test]
fn the_first_file_of_a_name_counts_and_a_second_changes_nothing() {
    let lab = Lab::new();
    let mut entries = good_entries();
    entries.insert(2, Entry::file(SHARD_2, content(SHARD_2)));
    entries.insert(3, Entry::file(SHARD_2, b"another".to_vec()));
    fetch_from(&lab, &entries).unwrap();
}

#[test]
fn an_entry_larger_than_pinned_is_refused_and_named() {
    let lab = Lab::new();
    let mut entries = good_entries();
    let shard = entries
        .iter_mut()
        .find(|entry| entry.name.ends_with(SHARD_2));
    let shard = shard.unwrap();
    shard.content.resize(8 << 20, 0);
    shard.claims = 8 << 20;
    let text = fetch_from(&lab, &entries).unwrap_err();
    assert!(text.contains(&format!("{SHARD_2} is too long")), "{text}");
}

#[test]
fn a_header_that_claims_an_absurd_size_is_refused() {
    for name in ["package/Net/model.json", "package/README.md"] {
        let lab = Lab::new();
        let mut absurd = Entry::file(name, content("model.json"));
        absurd.claims = 8_000_000_000;
        let entries: Vec<_> = [absurd].into_iter().chain(good_entries()).collect();
        fetch_from(&lab, &entries).unwrap_err();
    }
}

#[test]
fn an_archive_that_unpacks_to_far_too_much_is_given_up() {
    let lab = Lab::new();
    let bomb = Entry::file("package/zeros", vec![0; 24 << 20]);
    let entries: Vec<_> = [bomb].into_iter().chain(good_entries()).collect();
    let text = fetch_from(&lab, &entries).unwrap_err();
    assert!(text.contains("far too big"), "{text}");
}
