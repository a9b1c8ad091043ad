//! Where home is, and a home that cannot be written.

use std::fs;

use model_import::fetch::FetchError;

use crate::child::Orders;
use crate::fixture::{Lab, write_folder};

#[test]
fn home_is_beagle_home_then_the_caches_of_the_user() {
    let cache = if cfg!(target_vendor = "apple") {
        "/me/Library/Caches"
    } else {
        "/me/.cache"
    };
    let usual = format!("home {cache}/beagle");
    let cases: [(&[(&str, &str)], &str); 3] = [
        (
            &[
                ("HOME", "/me"),
                ("XDG_CACHE_HOME", "/xdg"),
                ("BEAGLE_HOME", "/beagle"),
            ],
            "home /beagle",
        ),
        (&[("HOME", "/me"), ("BEAGLE_HOME", "")], &usual),
        (&[("HOME", "/me")], &usual),
    ];
    for (vars, home) in cases {
        assert_eq!(Orders::say_home(vars).start().wait_for("home "), home);
    }
}

#[cfg(not(target_vendor = "apple"))]
#[test]
fn home_follows_xdg_cache_home() {
    let vars = [("HOME", "/me"), ("XDG_CACHE_HOME", "/xdg")];
    let said = Orders::say_home(&vars).start().wait_for("home ");
    assert_eq!(said, "home /xdg/beagle");
}

#[test]
fn a_home_that_cannot_be_made_is_named_with_the_remedy() {
    let lab = Lab::new();
    fs::write(lab.path("file"), "in the way").unwrap();
    write_folder(&lab.path("given"));
    let mut fetcher = lab.fetcher();
    fetcher.home = lab.path("file").join("home");
    fetcher.from = Some(lab.path("given"));
    let error = fetcher.fetch().unwrap_err();
    assert!(matches!(error, FetchError::Disk { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("cannot write the cache at "), "{text}");
    assert!(text.contains("file/home/weights"), "{text}");
    assert!(text.contains("set BEAGLE_HOME"), "{text}");
}

/// The limit on a file's size stands in for a full disk: writing fails half way.
#[test]
fn a_disk_that_fills_up_is_told_apart_from_a_bad_source() {
    let lab = Lab::new();
    write_folder(&lab.path("given"));
    // 100 blocks of 512 or 1024 bytes, and no signal: the write fails with EFBIG.
    let orders = Orders::fetch_after(&lab, "trap '' XFSZ; ulimit -f 100");
    let said = orders.from(&lab.path("given")).start().finish();
    assert!(said.contains("failed cannot write the cache at "), "{said}");
    assert!(said.contains("group1-shard1of3.bin: "), "{said}");
    assert!(said.contains("free some space"), "{said}");
    lab.assert_nothing_installed();
}

#[test]
fn a_home_that_cannot_be_written_still_gives_what_it_holds() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::filled();
    let weights = lab.home().join("weights");
    fs::set_permissions(&weights, fs::Permissions::from_mode(0o555)).unwrap();
    let fetched = lab.fetcher().fetch();
    let locked = weights.join(".lock").exists();
    fs::set_permissions(&weights, fs::Permissions::from_mode(0o755)).unwrap();
    lab.assert_installed(&fetched.unwrap());
    assert!(!locked, "a hit takes no lock and writes nothing");
}
