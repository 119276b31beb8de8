//! One connection through a proxy.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Direction, Mode, Shared};

const CONNECT: Duration = Duration::from_secs(5);
const PIECE: usize = 64 * 1024;
/// As often a second goes something through a slow proxy.
const STEPS: u64 = 50;

/// Forwards both ways until a side ends or the proxy closes the connection.
pub(super) fn run(number: u64, client: TcpStream, target: &str, shared: &Arc<Shared>) {
    let Some(server) = connect(target) else { return };
    let (client, server) = (Arc::new(client), Arc::new(server));
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    {
        let mut state = shared.lock();
        // It may have been cut while the server was dialled.
        if state.mode == Mode::Cut {
            return;
        }
        state.links.insert(number, [client.clone(), server.clone()]);
    }
    let back = {
        let (client, server, shared) = (client.clone(), server.clone(), shared.clone());
        thread::spawn(move || pump(&server, &client, Direction::ToClient, &shared))
    };
    pump(&client, &server, Direction::ToServer, shared);
    let _ = back.join();
    shared.lock().links.remove(&number);
}

fn connect(target: &str) -> Option<TcpStream> {
    let address = target.to_socket_addrs().ok()?.next()?;
    TcpStream::connect_timeout(&address, CONNECT).ok()
}

/// Copies one direction. Its end ends the other side's hearing, not its talking: a half-closed connection stays one.
fn pump(mut from: &TcpStream, to: &TcpStream, direction: Direction, shared: &Shared) {
    let mut piece = vec![0; PIECE];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        if passes(shared) && forward(to, &mut piece[..read], direction, shared).is_err() {
            break;
        }
    }
    // What a network swallows is also the end of a connection.
    let held = shared.changed.wait_while(shared.lock(), |state| state.mode == Mode::Held);
    drop(held);
    let _ = to.shutdown(Shutdown::Write);
}

/// Writes a piece at the pace that is set, with the bits flipped that are to be.
fn forward(mut to: &TcpStream, mut piece: &mut [u8], direction: Direction, shared: &Shared) -> io::Result<()> {
    {
        let mut state = shared.lock();
        let flipped = state.corrupting(direction).as_mut().map_or(0, |corrupting| corrupting.pass(piece));
        state.flipped += flipped;
    }
    while !piece.is_empty() {
        let rate = shared.lock().rate;
        let step = if rate == 0 { piece.len() } else { (rate / STEPS).max(1).min(piece.len() as u64) as usize };
        let (now, rest) = piece.split_at_mut(step);
        to.write_all(now)?;
        if rate > 0 && !wait_for_turn(Duration::from_secs(1).mul_f64(step as f64 / rate as f64), rate, shared) {
            return Ok(());
        }
        piece = rest;
    }
    Ok(())
}

/// Waits until the next bytes may go, or another pace is set. False: the rest is swallowed.
fn wait_for_turn(pause: Duration, rate: u64, shared: &Shared) -> bool {
    let start = Instant::now();
    let mut state = shared.lock();
    while let Some(left) = pause.checked_sub(start.elapsed()).filter(|_| state.rate == rate && !state.closed) {
        if state.mode != Mode::Healed {
            break;
        }
        state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    state.mode == Mode::Healed
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
