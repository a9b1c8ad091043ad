//! NVIDIA's own clients against the real server and the real model: `clients.py` asks, this gives it
//! a server and the pixels that the server itself would take from each photo.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use beagle::decode::{Limits, decode};
use model_import::registry;
use serde_json::json;

/// The interpreter that has the clients.
const PYTHON: &str = "BEAGLE_TEST_PYTHON";

/// The program, ended when it is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended already is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Starts the program on free ports; gives the two addresses it says.
fn serve(folder: &Path) -> (Program, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beagle"));
    command
        .args([
            "serve",
            "--bind",
            "127.0.0.1:0",
            "--grpc-bind",
            "127.0.0.1:0",
        ])
        .arg("--data")
        .arg(folder)
        .env("BEAGLE_DEVICE", "flex")
        .env_remove("REDIS_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let said = child.stderr.take().unwrap();
    let program = Program(child);
    let mut lines = BufReader::new(said).lines();
    let mut heard = Vec::new();
    let mut find = |name: &str| {
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(rest) = line.strip_prefix(name) {
                return rest.trim().to_owned();
            }
            heard.push(line);
        }
        panic!("the server did not say {name}: {heard:?}");
    };
    let grpc = find("grpc ");
    let http = find("ready ");
    let http = http
        .trim_start_matches("http://")
        .trim_end_matches("/predict");
    let http = http.to_owned();
    // What else it says has to go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    (program, http, grpc)
}

#[test]
fn nvidias_clients_get_the_answers_of_predict() {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| {
        panic!(
            "{PYTHON} names no interpreter: run cargo xtask test, which makes one, or make an \
             environment of tests/requirements.txt and set {PYTHON} to its bin/python"
        )
    });
    let folder = tempfile::tempdir().unwrap();
    let mut photos = Vec::new();
    for entry in fs::read_dir(root().join("assets/samples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "md") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        for profile in registry::profiles().unwrap() {
            let pixels = decode(&bytes, &Limits::default(), &profile.geometry).unwrap();
            let file = folder.path().join(format!("{name}.{}", profile.name));
            fs::write(&file, pixels.data()).unwrap();
            photos.push(json!({"photo": path, "profile": profile.name, "pixels": file}));
        }
    }
    assert_eq!(photos.len(), 4 * registry::profiles().unwrap().len());
    let labels = &registry::model(&registry::profile("imagenet").unwrap().model)
        .unwrap()
        .labels;
    let labels: Vec<&str> = (0..labels.count())
        .filter_map(|class| labels.get(class))
        .collect();
    let (server, http, grpc) = serve(folder.path());
    let asked = json!({"http": http, "grpc": grpc, "photos": photos, "labels": labels});
    let file = folder.path().join("asked.json");
    fs::write(&file, asked.to_string()).unwrap();
    let ran = Command::new(python)
        .arg(root().join("tests/oip/clients.py"))
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("the interpreter starts");
    drop(server);
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{}\n{out}\n{err}", ran.status);
    // Shown with --no-capture.
    print(&out);
    assert!(out.contains("largest difference from /predict"), "{out}");
}

#[expect(clippy::print_stdout, reason = "a test says what it measured")]
fn print(text: &str) {
    println!("{text}");
}
