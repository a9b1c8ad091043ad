//! A way to Redis that can be cut: what is sent then goes nowhere, and nothing says so.
//!
//! Must not know: what is sent.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Forwards connections until the test ends.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    cut: bool,
    /// Both ends of every connection since the last cut was healed.
    open: Vec<TcpStream>,
}

impl Proxy {
    /// A way to this address.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if let Ok(far) = TcpStream::connect(target) {
                    join(&shared, &near, &far);
                }
            }
        });
        Self { addr, state }
    }

    /// From now on nothing comes through.
    pub(crate) fn cut(&self) {
        self.state.lock().unwrap().cut = true;
    }

    /// The way is free again; the connections that were cut are gone.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.cut = false;
        for end in state.open.drain(..) {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn join(state: &Arc<Mutex<State>>, near: &TcpStream, far: &TcpStream) {
    let both = [near, far].map(|end| end.try_clone().unwrap());
    state.lock().unwrap().open.extend(both);
    for (from, to) in [(near, far), (far, near)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let state = state.clone();
        thread::spawn(move || forward(from, to, &state));
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, state: &Mutex<State>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        // What is in a cut line is lost, and all that follows with it.
        if state.lock().unwrap().cut {
            while let Ok(1..) = from.read(&mut bytes) {}
            return;
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The other end may have gone first.
    let _ = to.shutdown(Shutdown::Both);
}
