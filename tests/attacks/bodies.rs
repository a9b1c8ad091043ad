//! Bodies that dawdle, do not end, have too many parts or are packed; answers that nobody takes.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::GUARD;
use crate::bystanders::{attack, connect_narrow};
use crate::heads::trickle;
use crate::raw::{self, Raw};
use crate::server::Server;

/// What the server may have at most, in MiB.
const MEMORY: u64 = 320;
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=b");

#[test]
fn slow_bodies_are_told_so_and_leave_room_for_others() {
    const MANY: usize = 300;
    let mut server = Server::start();
    let addr = server.addr;
    attack("slow bodies", &mut server, None, || {
        let head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n\
                    Content-Length: 100000\r\n\r\n";
        let streams = (0..MANY).map(|_| {
            let mut stream = raw::connect(addr);
            stream.write_all(head.as_bytes()).unwrap();
            stream
        });
        let told = trickle(addr, streams.collect(), b'a');
        let count = |status: &str| {
            let told = told.iter();
            told.filter(|told| told.starts_with(status.as_bytes()))
                .count()
        };
        let (slow, too_many) = (count("HTTP/1.1 408"), count("HTTP/1.1 429"));
        // A client has half of the 256 uploads.
        assert!(
            slow >= 100,
            "{slow} were told that they are slow, {too_many} that they are many"
        );
        assert!(too_many >= 100, "{too_many}");
        assert_eq!(count("HTTP/1.1 2"), 0);
    });
    assert!(server.peak() < MEMORY);
}

/// Sends a head and then pieces, until the server has had enough; says what it answered, if that
/// can still be read.
fn endless(addr: SocketAddr, start: &[u8], piece: &[u8], most: usize) -> Option<Raw> {
    let mut stream = raw::connect(addr);
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: a\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        MULTIPART.0, MULTIPART.1
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let mut sent = stream.write_all(&chunk(start)).map_or(most, |()| 0);
    let piece = chunk(piece);
    while sent < most && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    assert!(sent < most, "all of {most} bytes were taken");
    Raw::read(&mut stream).ok()
}

#[test]
fn multipart_without_end_is_cut_off_wherever_it_is_long() {
    // Nobody gets so far in the seconds that there are.
    const MOST: usize = 1 << 40;
    let mut server = Server::start();
    let addr = server.addr;
    attack("endless multipart", &mut server, None, || {
        let line = [&[b'a'; 16 << 10][..], b"\r\n"].concat();
        let starts: [&[u8]; 4] = [
            // What precedes the first part.
            b"before\r\n",
            // The head of a part.
            b"--b\r\nContent-Disposition: form-data; name=\"image\"\r\nX-Long: ",
            // An image.
            b"--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n",
            // Another field.
            b"--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n",
        ];
        for start in starts {
            if let Some(told) = endless(addr, start, &line, MOST) {
                assert_eq!(told.status, 413, "{}", told.text());
            }
        }
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn a_hundred_thousand_parts_are_refused() {
    const PARTS: usize = 100_000;
    let mut server = Server::start();
    let addr = server.addr;
    attack("100,000 parts", &mut server, None, || {
        for (name, status, code) in [
            ("other", 400, "bad_request"),
            ("image", 413, "too_many_images"),
        ] {
            let part =
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\na\r\n");
            let body = part.repeat(PARTS).into_bytes();
            let mut stream = raw::connect(addr);
            let request = raw::request("POST /predict", &[MULTIPART], &body);
            // It has had enough before the end.
            let _ = stream.write_all(&request);
            if let Ok(told) = Raw::read(&mut stream) {
                assert_eq!((told.status, told.code().as_str()), (status, code));
            }
        }
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn packed_bodies_are_refused_however_often_they_are_packed() {
    let mut server = Server::start();
    let addr = server.addr;
    attack("content encodings", &mut server, None, || {
        for encoding in [
            "gzip",
            "deflate",
            "br",
            "zstd",
            "gzip, gzip, gzip, gzip",
            "identity, gzip",
            "x",
        ] {
            let headers = [
                ("Content-Type", "image/png"),
                ("Content-Encoding", encoding),
            ];
            let told = raw::ask(addr, "POST /predict", &headers, b"\x1f\x8b packed");
            assert_eq!(
                (told.status, told.code().as_str()),
                (415, "unsupported_media_type")
            );
            assert_eq!(told.header("accept-encoding"), Some("identity"));
        }
        let plain = [
            ("Content-Type", "image/png"),
            ("Content-Encoding", "identity"),
        ];
        let told = raw::ask(addr, "POST /predict", &plain, b"no image");
        assert_eq!(told.status, 415, "{}", told.text());
        assert_eq!(told.code(), "unsupported_format");
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn a_client_that_takes_no_answers_is_cut_off() {
    const MANY: usize = 2;
    /// Their answers are more than any buffers on the way hold.
    const REQUESTS: usize = 1500;
    let mut server = Server::start();
    let addr = server.addr;
    attack("answers not taken", &mut server, None, || {
        let requests = raw::request("GET /metrics", &[], &[]).repeat(REQUESTS);
        let mut streams: Vec<TcpStream> = (0..MANY)
            .map(|_| {
                let mut stream = connect_narrow(addr);
                stream.write_all(&requests).unwrap();
                stream.set_nonblocking(true).unwrap();
                stream
            })
            .collect();
        let until = Instant::now() + GUARD;
        while !streams.is_empty() {
            assert!(Instant::now() < until, "{} are still open", streams.len());
            // One that is cut off is reset, for it was sent more.
            streams.retain_mut(|stream| match stream.write(b"G") {
                Ok(_) => true,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            });
            assert_eq!(raw::ask(addr, "GET /healthz", &[], &[]).status, 200);
        }
    });
    assert!(server.peak() < MEMORY);
}
