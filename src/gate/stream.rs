//! A connection's stream, which fails when its peer dawdles: over the head of a request, any of
//! them, or over what it is sent.
//!
//! It does not read requests. It sees where a head ends, and is told by [`Watch`] while one is
//! worked on; then what arrives is a body, whose pace is somebody else's business. Must not know:
//! HTTP but for the empty line after a head.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::Limits;
use super::addresses::Place;
use super::head::Head;
use super::pace::{Pace, Tempo};

/// Most bytes of one read while a head arrives. Whoever reads requests goes on until it has 128 KiB, and
/// then begins the request; its last read could otherwise have the whole of a photo.
const AT_ONCE: usize = 64 << 10;

/// Most bytes of a refused body that are taken so that its sender hears why; how long that may take
/// is for whoever closes the connection to say.
const LINGER: usize = 128 << 20;

/// Bytes that a peer must take of what it is sent, each time.
const TAKEN: u64 = 4096;

/// The bytes underneath.
#[derive(Debug)]
pub enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

/// Says what a connection is about. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<State>);

#[derive(Debug, Default)]
struct State {
    begun: AtomicU64,
    working: AtomicBool,
    unread: AtomicBool,
}

/// A request that is worked on, until this is dropped.
#[derive(Debug)]
pub struct Working(Watch);

impl Watch {
    /// A request's head has been read; whether a body follows.
    #[must_use]
    pub fn begin(&self, body: bool) -> Working {
        self.0.unread.store(body, Ordering::Release);
        self.0.working.store(true, Ordering::Release);
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        Working(self.clone())
    }

    /// Its body has been read to its end. What is left of one that was not arrives before the next
    /// head, and has only that one's time.
    pub fn body_is_read(&self) {
        self.0.unread.store(false, Ordering::Release);
    }

    fn is_working(&self) -> bool {
        self.0.working.load(Ordering::Acquire)
    }

    /// Requests so far: one may begin and be answered between two looks.
    fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Acquire)
    }

    fn has_unread(&self) -> bool {
        self.0.unread.load(Ordering::Acquire)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.0.working.store(false, Ordering::Release);
    }
}

/// See the module.
#[derive(Debug)]
pub struct Guarded {
    io: Transport,
    peer: SocketAddr,
    limits: Limits,
    has_heads: bool,
    watch: Watch,
    head: Option<Head>,
    reading: Option<Pin<Box<Sleep>>>,
    sending: Option<Pace>,
    writing: Option<Pin<Box<Sleep>>>,
    lingered: usize,
    _place: Place,
}

impl Guarded {
    pub(super) fn new(
        io: Transport,
        peer: SocketAddr,
        place: Place,
        limits: &Limits,
        has_heads: bool,
    ) -> Self {
        Self {
            has_heads,
            io,
            peer,
            limits: *limits,
            watch: Watch::default(),
            head: None,
            reading: None,
            sending: None,
            writing: None,
            lingered: 0,
            _place: place,
        }
    }

    /// To be told when a request is worked on, where requests have heads.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Who is at the other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether what arrives is a head, or right behind one.
    fn expects_head(&self) -> bool {
        self.has_heads && !self.watch.is_working()
    }

    /// Forgets a head whose request has begun.
    fn forget_head(&mut self) {
        let begun = self.watch.begun();
        self.head = self.head.filter(|head| head.behind_request == begun);
    }

    /// Fails if the head that is arriving should be there by now.
    fn check_head(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.forget_head();
        let Some(head) = &self.head else {
            return Ok(());
        };
        expire(&mut self.reading, head.until, cx, "the head of a request")
    }

    fn arrived(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.expects_head() || bytes.is_empty() {
            return Ok(());
        }
        self.forget_head();
        let until = Instant::now() + self.limits.head_timeout;
        let begun = self.watch.begun();
        let head = self.head.get_or_insert_with(|| Head::new(begun, until));
        if self.watch.has_unread() || head.grows(bytes, self.limits.head_bytes) {
            return Ok(());
        }
        let message = "the head of a request has too many bytes";
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// Takes the rest of a body that was refused before it was read. A connection closed over bytes
    /// that nobody took is reset, and a reset overtakes the answer that says what was wrong.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 16 << 10];
        while self.watch.has_unread() && self.lingered < LINGER {
            let mut buf = ReadBuf::new(&mut bytes);
            match ready!(self.io.poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.lingered += buf.filled().len(),
                // It has closed its side as well.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What writing came to: no more than the peer's patience lasts.
    fn sent<T>(
        &mut self,
        sent: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> Option<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let now = Instant::now();
        match &sent {
            Poll::Ready(Ok(done)) => match (bytes(done), &mut self.sending) {
                (Some(part), Some(pace)) => pace.moved(part, now),
                (None, _) => self.sending = None,
                (Some(_), None) => {}
            },
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let tempo = Tempo {
                    part: TAKEN,
                    window: self.limits.write_timeout,
                    whole: None,
                };
                let pace = self.sending.get_or_insert_with(|| Pace::new(tempo, now));
                let deadline = pace.deadline();
                expire(&mut self.writing, deadline, cx, "taking what it is sent")?;
            }
        }
        sent
    }
}

/// Fails from the deadline on, and wakes the task then.
fn expire(
    timer: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    cx: &mut Context<'_>,
    what: &str,
) -> io::Result<()> {
    let deadline = deadline.into();
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    if timer.as_mut().poll(cx).is_ready() {
        let message = format!("the peer takes too long over {what}");
        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
    }
    Ok(())
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = if self.expects_head() && buf.remaining() > AT_ONCE {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(AT_ONCE));
            let read = self.io.poll_read(cx, &mut part);
            let arrived = part.filled().len();
            buf.advance(arrived);
            read
        } else {
            self.io.poll_read(cx, buf)
        };
        if read.is_pending() {
            self.check_head(cx)?;
        }
        ready!(read)?;
        self.arrived(&buf.filled()[before..])?;
        // Bytes that arrive do not give it more time.
        self.check_head(cx)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            Transport::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Transport::Tls(io) => Pin::new(io).poll_write(cx, buf),
        };
        let all = buf.len();
        self.sent(written, |&part| (part < all).then_some(part), cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.io {
            Transport::Plain(io) => Pin::new(io).poll_flush(cx),
            Transport::Tls(io) => Pin::new(io).poll_flush(cx),
        };
        self.sent(flushed, |()| Some(0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = match &mut self.io {
            Transport::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Transport::Tls(io) => Pin::new(io).poll_shutdown(cx),
        };
        ready!(self.sent(shut, |()| Some(0), cx))?;
        self.linger(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::task::yield_now;

    use super::*;
    use crate::gate::Gate;
    use crate::tls::Speaks;

    /// What actix keeps before it looks for a request.
    const KEPT: usize = 128 << 10;

    #[actix_web::test]
    async fn a_photo_right_behind_its_head_is_read_in_parts_until_its_request_begins() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1 << 20).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let photo = vec![7; 4 << 20];
        let sent = photo.clone();
        let client = actix_web::rt::spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
            client.write_all(&sent).await.unwrap();
            client
        });
        let (stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; AT_ONCE + 1];
        while stream.peek(&mut seen).await.unwrap() <= AT_ONCE {
            yield_now().await;
        }
        let gate = Gate::new(Limits::default(), Speaks::Http1, None);
        let mut guarded = gate.enter(stream).await.unwrap();
        // A buffer that earlier photos have made large.
        let mut kept = Vec::with_capacity(8 << 20);
        while kept.len() < KEPT {
            let before = kept.len();
            guarded.read_buf(&mut kept).await.unwrap();
            assert!(kept.len() - before <= AT_ONCE);
        }
        let working = guarded.watch().begin(true);
        let all = b"POST / HTTP/1.1\r\n\r\n".len() + photo.len();
        while kept.len() < all {
            assert!(guarded.read_buf(&mut kept).await.unwrap() > 0);
        }
        assert!(kept.ends_with(&photo));
        drop((working, client.await.unwrap()));
    }
}
