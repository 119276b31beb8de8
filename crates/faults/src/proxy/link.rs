//! One connection through a proxy.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Mode, Shared};

const CONNECT: Duration = Duration::from_secs(5);
const PIECE: usize = 64 * 1024;

/// Forwards both ways until a side ends or the proxy closes the connection.
pub(super) fn run(number: u64, client: TcpStream, target: &str, shared: &Arc<Shared>) {
    let Some(server) = connect(target) else { return };
    let streams = || Some([client.try_clone().ok()?, server.try_clone().ok()?]);
    let (Some(kept), Some([client_out, server_out])) = (streams(), streams()) else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    {
        let mut state = shared.lock();
        // It may have been cut while the server was dialled.
        if state.mode == Mode::Cut {
            return;
        }
        state.links.insert(number, kept);
    }
    let back = {
        let shared = shared.clone();
        thread::spawn(move || pump(server, client_out, &shared))
    };
    pump(client, server_out, shared);
    let _ = back.join();
    shared.lock().links.remove(&number);
}

fn connect(target: &str) -> Option<TcpStream> {
    let address = target.to_socket_addrs().ok()?.next()?;
    TcpStream::connect_timeout(&address, CONNECT).ok()
}

/// Copies one direction. Its end ends the other side's hearing, not its talking: a half-closed connection stays one.
fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut piece = vec![0; PIECE];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        if passes(shared) && to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    // What a network swallows is also the end of a connection.
    let held = shared.changed.wait_while(shared.lock(), |state| state.mode == Mode::Held);
    drop(held);
    let _ = to.shutdown(Shutdown::Write);
}

/// Waits as long as a piece of data must, and tells whether it goes on then.
fn passes(shared: &Shared) -> bool {
    let start = Instant::now();
    let mut state = shared.lock();
    while let Some(left) = state.delay.checked_sub(start.elapsed()).filter(|left| *left > Duration::ZERO) {
        state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    state.mode == Mode::Healed
}
