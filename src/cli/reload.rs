//! SIGHUP: keys and certificates are read again, and what is broken changes nothing.

use tokio::signal::unix::{SignalKind, signal};

use crate::edge::door::Door;

/// Reads the door's files again at every SIGHUP from now on. Without any, SIGHUP ends the process
/// as it does others.
pub(crate) fn at_hangup(door: &Door) -> anyhow::Result<()> {
    if !door.access.is_locked() && door.tls.is_none() {
        return Ok(());
    }
    let mut hangup = signal(SignalKind::hangup())?;
    let door = door.clone();
    actix::spawn(async move {
        while hangup.recv().await.is_some() {
            again(&door);
        }
    });
    Ok(())
}

fn again(door: &Door) {
    if door.access.is_locked() {
        match door.access.reload() {
            Ok(keys) => tracing::info!(keys, "the keys were read again"),
            Err(error) => tracing::error!(%error, "the keys stay as they were"),
        }
    }
    if let Some(tls) = &door.tls {
        match tls.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }
}
