//! `kill -9` at exact points, then the same again: the second run never minds the first.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use crate::child::Orders;
use crate::fake_npm::FakeNpm;
use crate::fixture::{Lab, SHARD_2, flip, good_tgz, write_folder};
use crate::server::{GUARD, Plan, Server};

/// After a kill: the entry is not there or as it was, and a folder of the dead lies around.
/// A healthy second run gives the weights and removes it.
#[track_caller]
fn assert_recovers(lab: &Lab) {
    assert_eq!(lab.left_over().len(), 1, "{:?}", lab.left_over());
    let server = Server::start(Plan::Healthy);
    let said = Orders::fetch(lab).url(&server.url).start().finish();
    assert!(said.contains("notice removed "), "{said}");
    assert!(said.contains("left by a fetch that was killed"), "{said}");
    assert!(said.contains("done "), "{said}");
    server.assert_hits_each(1);
    lab.assert_good_entry();
}

#[test]
fn killed_in_the_middle_of_a_file_from_the_repository() {
    let lab = Lab::new();
    let server = Server::start(Plan::Pause(SHARD_2));
    let child = Orders::fetch(&lab).url(&server.url).start();
    server.wait_for_pause();
    child.kill();
    assert!(!lab.entry().exists());
    assert_recovers(&lab);
}

#[test]
fn killed_at_any_point_of_a_download() {
    for bytes in [0, 1, 3_001, 200_000, 473_008] {
        let lab = Lab::new();
        let server = Server::start(Plan::Healthy);
        let child = Orders::fetch(&lab).url(&server.url);
        let child = child.stop_at("download", bytes).start();
        child.wait_for("stopped");
        child.kill();
        assert!(!lab.entry().exists());
        assert_recovers(&lab);
    }
}

#[test]
fn killed_at_any_point_of_unpacking() {
    for bytes in [0, 1, 70_001, 300_000, 473_008] {
        let lab = Lab::new();
        let npm = FakeNpm::giving(&lab, &good_tgz(&lab));
        let child = Orders::fetch(&lab).path(&npm.bin);
        let child = child.stop_at("unpack", bytes).start();
        child.wait_for("stopped");
        child.kill();
        assert!(!lab.entry().exists());
        assert_recovers(&lab);
    }
}

#[test]
fn killed_while_copying_what_the_user_gave() {
    let lab = Lab::new();
    write_folder(&lab.path("given"));
    let child = Orders::fetch(&lab).from(&lab.path("given"));
    let child = child.stop_at("copy", 100_000).start();
    child.wait_for("stopped");
    child.kill();
    assert!(!lab.entry().exists());
    assert_recovers(&lab);
}

#[test]
fn killed_just_before_the_rename() {
    let lab = Lab::new();
    write_folder(&lab.path("given"));
    let child = Orders::fetch(&lab).from(&lab.path("given"));
    let child = child.stop_at("install", 0).start();
    child.wait_for("stopped");
    child.kill();
    assert!(!lab.entry().exists());
    assert_recovers(&lab);
}

#[test]
fn killed_before_a_damaged_cache_moves_aside_it_is_still_refused() {
    let lab = Lab::filled();
    flip(&lab.entry().join(SHARD_2), 1);
    write_folder(&lab.path("given"));
    let child = Orders::fetch(&lab).from(&lab.path("given"));
    let child = child.stop_at("set-aside", 0).start();
    child.wait_for("stopped");
    child.kill();
    assert!(lab.entry().exists());
    assert_recovers(&lab);
}

#[test]
fn killed_between_the_two_renames_the_cache_is_empty_and_not_mixed() {
    let lab = Lab::filled();
    flip(&lab.entry().join(SHARD_2), 1);
    write_folder(&lab.path("given"));
    let child = Orders::fetch(&lab).from(&lab.path("given"));
    let child = child.stop_at("install", 0).start();
    child.wait_for("stopped");
    child.kill();
    assert!(!lab.entry().exists());
    assert_recovers(&lab);
}

/// npm outlives the killed process, and still writes when the next run has cleaned up.
#[test]
fn killed_while_npm_writes_and_npm_goes_on() {
    let lab = Lab::new();
    let tgz = good_tgz(&lab);
    let (reached, leave) = (Fifo::make(&lab, "reached"), Fifo::make(&lab, "leave"));
    // Its folder goes away under it, and so does whoever read its standard error: without the
    // first line the complaint about the one would be its end by SIGPIPE.
    let npm = FakeNpm::new(
        &lab,
        &format!(
            "exec 2> /dev/null\n\
             head -c 1000 '{tgz}' > \"$dest/made_up-0.0.1.tgz\"\n\
             echo half > '{reached}'; read -r word < '{leave}'\n\
             cat '{tgz}' > \"$dest/made_up-0.0.1.tgz\"\n\
             echo over > '{reached}'",
            tgz = tgz.display(),
            reached = reached.path.display(),
            leave = leave.path.display()
        ),
    );
    let child = Orders::fetch(&lab).path(&npm.bin).start();
    reached.wait_for("half");
    child.kill();
    assert!(!lab.entry().exists());
    assert_recovers(&lab);
    leave.say("go on");
    reached.wait_for("over");
    lab.assert_good_entry();
}

/// A named pipe that neither side waits at: held open for both ways, so that opening it returns
/// at once and a script that has died fails the test instead of holding it up for ever.
struct Fifo {
    path: PathBuf,
    both_ways: File,
}

impl Fifo {
    fn make(lab: &Lab, name: &str) -> Self {
        let path = lab.path(name);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let both_ways = File::options().read(true).write(true).open(&path).unwrap();
        Self { path, both_ways }
    }

    fn say(&self, word: &str) {
        writeln!(&self.both_ways, "{word}").unwrap();
    }

    /// Waits for the next line.
    #[track_caller]
    fn wait_for(&self, word: &str) {
        let (tell, told) = mpsc::channel();
        let mut reader = BufReader::new(self.both_ways.try_clone().unwrap());
        // Ends with the test binary if the line never comes.
        thread::spawn(move || {
            let mut line = String::new();
            let read = reader.read_line(&mut line);
            tell.send(read.map(|_| line))
        });
        let line = told.recv_timeout(GUARD).unwrap().unwrap();
        assert_eq!(line.trim_end(), word);
    }
}
