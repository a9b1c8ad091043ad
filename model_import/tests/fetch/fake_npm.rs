//! An npm client that is a shell script: it notes how it was called and does as planned.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fixture::Lab;

pub(crate) struct FakeNpm {
    /// Folder to put on `PATH`; holds `npm` and nothing else.
    pub(crate) bin: PathBuf,
    calls: PathBuf,
}

impl FakeNpm {
    /// `body` may use `$dest`, where the archive is wanted.
    pub(crate) fn new(lab: &Lab, body: &str) -> Self {
        let (bin, calls) = (lab.path("bin"), lab.path("npm-calls"));
        fs::create_dir_all(&bin).unwrap();
        let script = format!(
            "#!/bin/sh\n\
             echo \"$@\" >> '{}'\n\
             while [ $# -gt 0 ]; do [ \"$1\" = --pack-destination ] && dest=$2; shift; done\n\
             {body}\n",
            calls.display()
        );
        write_script(&bin.join("npm"), &script);
        Self { bin, calls }
    }

    /// Gives an archive.
    pub(crate) fn giving(lab: &Lab, tgz: &Path) -> Self {
        Self::new(lab, &format!("cp '{}' \"$dest/\"", tgz.display()))
    }

    /// Finds no such package.
    pub(crate) fn failing(lab: &Lab) -> Self {
        let body = "echo 'npm warn old' >&2; echo 'npm error code E404' >&2; exit 7";
        Self::new(lab, body)
    }

    pub(crate) fn command(&self) -> PathBuf {
        self.bin.join("npm")
    }

    /// How it was called, a line each time.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(&self.calls).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

/// Written by a process of its own: a script this process holds open for writing could not be
/// run, and a fork in another test's thread might hold it a moment longer than we do.
fn write_script(path: &Path, text: &str) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    assert!(shell.wait().unwrap().success());
}
