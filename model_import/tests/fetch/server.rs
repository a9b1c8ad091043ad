//! A web server on loopback that serves the made-up files, one of them badly if told so.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::fixture::{content, manifest};

/// Longer than anything here takes; only a bug waits for its end.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// What the server does wrong, with which file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    Healthy,
    /// Promises the whole file and closes half way, each time.
    Cut(&'static str),
    /// The same, the first time only.
    CutOnce(&'static str),
    /// Promises and sends half the file.
    Half(&'static str),
    /// Sends five bytes more than there are.
    Longer(&'static str),
    /// Flips a bit.
    Altered(&'static str),
    /// Answers 404.
    NotFound(&'static str),
    /// Sends half the file, says so to the test, and waits for leave to go on.
    Pause(&'static str),
}

pub(crate) struct Server {
    pub(crate) url: String,
    hits: Arc<Mutex<BTreeMap<String, usize>>>,
    paused: Receiver<()>,
    leave: Sender<()>,
}

impl Server {
    pub(crate) fn start(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/Net", listener.local_addr().unwrap());
        let hits = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let (pausing, paused) = mpsc::channel();
        let (leave, left) = mpsc::channel();
        let left = Arc::new(Mutex::new(left));
        let counted = hits.clone();
        // Ends with the test binary.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counted, pausing, left) = (counted.clone(), pausing.clone(), left.clone());
                thread::spawn(move || answer(stream, plan, &counted, &pausing, &left));
            }
        });
        Self {
            url,
            hits,
            paused,
            leave,
        }
    }

    /// Waits until half of the paused file has been sent.
    pub(crate) fn wait_for_pause(&self) {
        self.paused.recv_timeout(GUARD).unwrap();
    }

    /// Lets the paused file go on.
    pub(crate) fn go_on(&self) {
        self.leave.send(()).unwrap();
    }

    pub(crate) fn hits(&self, name: &str) -> usize {
        *self.hits.lock().unwrap().get(name).unwrap_or(&0)
    }

    pub(crate) fn all_hits(&self) -> usize {
        self.hits.lock().unwrap().values().sum()
    }

    /// Every file was asked for exactly so often.
    #[track_caller]
    pub(crate) fn assert_hits_each(&self, times: usize) {
        for file in manifest().files {
            assert_eq!(self.hits(file.name), times, "{}", file.name);
        }
    }
}

/// A client that goes away in the middle is part of the play.
fn answer(
    mut stream: TcpStream,
    plan: Plan,
    hits: &Mutex<BTreeMap<String, usize>>,
    pausing: &Sender<()>,
    left: &Mutex<Receiver<()>>,
) -> Option<()> {
    let name = asked(&stream).ok()?;
    let mut body = content(&name);
    let nth = {
        let mut hits = hits.lock().unwrap();
        let nth = hits.entry(name.clone()).or_default();
        *nth += 1;
        *nth
    };
    let (size, half) = (body.len(), body.len() / 2);
    match plan {
        Plan::NotFound(bad) if bad == name => {
            let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(head.as_bytes()).ok();
        }
        Plan::Half(bad) if bad == name => body.truncate(half),
        Plan::Longer(bad) if bad == name => body.extend(b"extra"),
        Plan::Altered(bad) if bad == name => body[half] ^= 1,
        _ => {}
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    match plan {
        Plan::Cut(bad) if bad == name => body.truncate(half),
        Plan::CutOnce(bad) if bad == name && nth == 1 => body.truncate(half),
        Plan::Pause(bad) if bad == name => {
            stream.write_all(&body[..half]).ok()?;
            pausing.send(()).ok()?;
            left.lock().unwrap().recv().ok()?;
            return stream.write_all(&body[half..size]).ok();
        }
        _ => {}
    }
    stream.write_all(&body).ok()
}

/// Reads a request to its end and gives the last part of its path.
fn asked(stream: &TcpStream) -> io::Result<String> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
}
