//! A server on a socket that does as the path says, one request after the other.
//!
//! It runs on a thread of its own and ends with the test's process.

use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex as Turn;

/// What is answered to a request.
pub(crate) enum Reply {
    /// A status and a body; the connection is kept.
    Status(u16, String),
    /// The same, and the connection is closed.
    Last(u16, String),
    /// The connection is reset.
    Reset,
    /// Something that is not HTTP.
    Garbage,
    /// Nothing, for ever.
    Nothing,
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method, path and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Decides what is answered to a request.
pub(crate) type Plan = fn(&Request) -> Reply;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Takes so long for a request, and each alone.
    pub(crate) fn start(service: Duration, plan: Plan) -> Self {
        let (tell, told) = sync_channel(1);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("an address"))
                    .expect("the test waits");
                let turn = Arc::new(Turn::new(()));
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, (turn.clone(), service), plan, seen.clone()));
                }
            });
        });
        Self {
            address: told.recv().expect("the server starts"),
            requests,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("nobody panics").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    (turn, service): (Arc<Turn<()>>, Duration),
    plan: Plan,
    seen: Arc<Mutex<Vec<Request>>>,
) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let request = request(&mut stream, &mut read).await?;
        seen.lock().expect("nobody panics").push(request.clone());
        if !service.is_zero() {
            let _turn = turn.lock().await;
            tokio::time::sleep(service).await;
        }
        let (status, body, last) = match plan(&request) {
            Reply::Status(status, body) => (status, body, false),
            Reply::Last(status, body) => (status, body, true),
            Reply::Garbage => {
                stream.write_all(b"good day\r\n\r\n").await.ok()?;
                return None;
            }
            Reply::Reset => {
                stream.set_zero_linger().ok()?;
                return None;
            }
            Reply::Nothing => std::future::pending().await,
        };
        let close = if last { "Connection: close\r\n" } else { "" };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} S\r\nContent-Length: {length}\r\n{close}\r\n");
        stream.write_all((head + &body).as_bytes()).await.ok()?;
        if last {
            return None;
        }
    }
}

/// The next request of a connection; nothing if it has ended.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        match read.windows(4).position(|part| part == b"\r\n\r\n") {
            Some(at) => break at + 4,
            None => more(stream, read).await?,
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().ok())?
    });
    let whole = end + length.unwrap_or(0);
    while read.len() < whole {
        more(stream, read).await?;
    }
    let body = read[end..whole].to_vec();
    read.drain(..whole);
    Some(Request { head, body })
}

async fn more(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(read).await.ok()?;
    (count > 0).then_some(())
}
