//! The messages and the service of the Open Inference Protocol, made of their `.proto`, in Rust alone.

use std::error::Error;

const FOLDER: &str = "src/grpc";
const PROTO: &str = "src/grpc/open_inference.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let described = protox::compile([PROTO], [FOLDER])?;
    tonic_prost_build::configure()
        // Images are not copied out of the message that brought them.
        .bytes(".inference")
        .emit_rerun_if_changed(false)
        .compile_fds(described)?;
    for path in [PROTO, "build.rs"] {
        let mut line = b"cargo::rerun-if-changed=".to_vec();
        line.extend_from_slice(path.as_bytes());
        line.push(b'\n');
        std::io::Write::write_all(&mut std::io::stdout(), &line)?;
    }
    Ok(())
}
