//! A real nginx before the web processes: round robin, and another one is asked where one fails.
//!
//! Needs `nginx` on the path. Must not know: what the processes are.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use crate::GUARD;
use crate::redis_server::free_port;

/// A running nginx, ended when dropped.
pub(crate) struct Nginx {
    pub(crate) addr: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one and waits until it listens.
    pub(crate) fn start(upstream: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let path = folder.path().join("nginx.conf");
        fs::write(&path, configuration(addr, upstream)).unwrap();
        let process = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is needed for these tests: install it");
        let until = Instant::now() + GUARD;
        while TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < until, "nginx does not start");
            thread::yield_now();
        }
        Self {
            addr,
            process,
            _folder: folder,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // One process: nothing is left behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What one process refuses or breaks off is asked of the next one, POST too: images are classified
/// alike however often, and a repeated Idempotency-Key is the same job. None is left alone for a while after it
/// failed: two restarts within that time would leave nobody.
fn configuration(addr: SocketAddr, upstream: &[SocketAddr]) -> String {
    let servers: String = upstream
        .iter()
        .map(|server| format!("server {server} max_fails=0; "))
        .collect();
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  upstream beagle {{ {servers} }}
  server {{
    listen {addr} backlog=4096;
    location / {{
      proxy_pass http://beagle;
      proxy_connect_timeout 1s;
      proxy_read_timeout 90s;
      proxy_next_upstream error timeout http_503 non_idempotent;
      proxy_next_upstream_tries 3;
      proxy_intercept_errors off;
      error_page 502 504 = @nobody;
    }}
    location @nobody {{
      default_type application/json;
      add_header Retry-After 1 always;
      return 503 '{{\"success\":false,\"error\":{{\"code\":\"shutting_down\",\"message\":\"no web process answers: ask again\"}}}}';
    }}
  }}
}}
"
    )
}
