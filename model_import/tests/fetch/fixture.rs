//! Made-up weights, a home of their own, and a progress that remembers what it was told.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use model_import::fetch::{Fetcher, Manifest, Notice, PinnedFile, Progress, WeightsDir};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Nothing listens there, so it stands for a machine without network.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1/none";
pub(crate) const SHARD_2: &str = "group1-shard2of3.bin";

/// Names and sizes: one file of less than a chunk, some of several, none a multiple.
const SIZES: [(&str, usize); 4] = [
    ("model.json", 3_001),
    ("group1-shard1of3.bin", 200_003),
    (SHARD_2, 200_003),
    ("group1-shard3of3.bin", 70_001),
];

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let pin = |&(name, _): &(&'static str, usize)| {
        let content = content(name);
        let digest = Sha256::digest(&content);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        PinnedFile {
            name,
            bytes: content.len() as u64,
            sha256: hex.leak(),
        }
    };
    Manifest {
        package: "made_up",
        version: "0.0.1",
        folder: "Net",
        raw_url: NOWHERE,
        files: SIZES.iter().map(pin).collect::<Vec<_>>().leak(),
    }
});

pub(crate) fn manifest() -> &'static Manifest {
    &MANIFEST
}

/// The bytes of a made-up file: they do not compress, and no two files share them.
pub(crate) fn content(name: &str) -> Vec<u8> {
    let size = SIZES.iter().find(|(known, _)| *known == name).unwrap().1;
    let mut state = name.bytes().fold(1_u64, |state, byte| {
        state.wrapping_mul(31).wrapping_add(byte.into())
    });
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// A folder of its own with a home in it; gone when dropped.
pub(crate) struct Lab {
    pub(crate) root: TempDir,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            notes: Arc::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(crate) fn entry(&self) -> PathBuf {
        self.home().join("weights/made_up-0.0.1")
    }

    /// Neither npm nor network; a test gives what it has.
    pub(crate) fn fetcher(&self) -> Fetcher {
        let mut fetcher = Fetcher::of(self.home(), manifest());
        fetcher.npm = self.path("no-such-npm").into();
        fetcher.url = NOWHERE.to_owned();
        fetcher.progress = Box::new(Notes(self.notes.clone()));
        fetcher
    }

    /// A home whose cache is filled and good.
    pub(crate) fn filled() -> Self {
        let lab = Self::new();
        write_folder(&lab.entry());
        lab
    }

    /// Every notice so far, a line each.
    pub(crate) fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }

    /// Names in the folder of weights, without the entry and the lock.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let listed = fs::read_dir(self.home().join("weights"));
        let names = listed.into_iter().flatten().map(|entry| {
            let name = entry.unwrap().file_name();
            name.into_string().unwrap()
        });
        names
            .filter(|name| name != ".lock" && name != "made_up-0.0.1")
            .collect()
    }

    /// The cache holds exactly the pinned bytes, and nothing lies around.
    #[track_caller]
    pub(crate) fn assert_installed(&self, weights: &WeightsDir) {
        assert_eq!(weights.path(), self.entry());
        self.assert_good_entry();
    }

    #[track_caller]
    pub(crate) fn assert_good_entry(&self) {
        for file in manifest().files {
            let cached = fs::read(self.entry().join(file.name)).unwrap();
            assert!(cached == content(file.name), "{} differs", file.name);
        }
        assert_eq!(
            fs::read_dir(self.entry()).unwrap().count(),
            manifest().files.len()
        );
        assert_eq!(self.left_over(), Vec::<String>::new());
    }

    /// Nothing came into the cache, and nothing lies around.
    #[track_caller]
    pub(crate) fn assert_nothing_installed(&self) {
        assert!(!self.entry().exists());
        assert_eq!(self.left_over(), Vec::<String>::new());
    }
}

struct Notes(Arc<Mutex<Vec<String>>>);

impl Progress for Notes {
    fn notice(&self, notice: &Notice) {
        self.0.lock().unwrap().push(notice.to_string());
    }
}

/// Writes the made-up files into a folder.
pub(crate) fn write_folder(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in manifest().files {
        fs::write(folder.join(file.name), content(file.name)).unwrap();
    }
}

/// Flips the lowest bit of one byte of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// One entry of an archive, under whatever name.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: tar::EntryType,
    pub(crate) content: Vec<u8>,
    /// The size the header claims.
    pub(crate) claims: u64,
}

impl Entry {
    pub(crate) fn file(name: impl Into<String>, content: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            kind: tar::EntryType::Regular,
            claims: content.len() as u64,
            content,
        }
    }
}

/// What npm would pack: the files under `package/Net/`, and some company.
pub(crate) fn good_entries() -> Vec<Entry> {
    let company = Entry::file("package/README.md", b"made up".to_vec());
    let files = manifest()
        .files
        .iter()
        .rev()
        .map(|file| Entry::file(format!("package/Net/{}", file.name), content(file.name)));
    [company].into_iter().chain(files).collect()
}

/// Writes a `.tgz`; names go in byte for byte, however wicked.
pub(crate) fn write_tgz(path: &Path, entries: &[Entry]) {
    let gzip = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        if entry.kind.is_symlink() || entry.kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_entry_type(entry.kind);
        header.set_mode(0o644);
        header.set_size(entry.claims);
        header.set_cksum();
        tar.append(&header, &entry.content[..]).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

/// A good archive in the lab.
pub(crate) fn good_tgz(lab: &Lab) -> PathBuf {
    let path = lab.path("made_up-0.0.1.tgz");
    write_tgz(&path, &good_entries());
    path
}
