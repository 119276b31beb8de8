//! A network of machines that are none: each host is a network namespace, and its link a cable that can be pulled.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Failure, Result};

/// What goes wrong without the right, and what to do.
const RIGHT: &str =
    "network namespaces need root, and `unshare` and `ip` of the Debian packages util-linux and iproute2";

/// Hosts, each in a network namespace of its own, on one switch.
///
/// Nothing of it is seen outside, and nothing has a name: what belongs to it goes with the last process in it, also when the
/// test dies. It needs root.
///
/// ```no_run
/// let network = micro_faults::Network::of(3)?;
/// let server = network.inside(1, || std::net::TcpListener::bind((network.address(1), 80))).unwrap();
/// network.unplug(1);
/// # Ok::<(), micro_faults::Failure>(())
/// ```
#[derive(Debug)]
pub struct Network {
    switch: File,
    hosts: Vec<File>,
}

impl Network {
    /// Makes so many hosts, with all links up.
    ///
    /// # Errors
    ///
    /// If this process may not, or a program is missing.
    ///
    /// # Panics
    ///
    /// If there are more than 200.
    pub fn of(hosts: u8) -> Result<Self> {
        assert!(hosts <= 200, "a network has 200 hosts at most, not {hosts}");
        let network = Self { switch: space()?, hosts: (0..hosts).map(|_| space()).collect::<Result<_>>()? };
        // Multicast goes to all, without being asked for.
        within(&network.switch, || ip("link add switch up type bridge stp_state 0 mcast_snooping 0"))?;
        for (place, host) in network.hosts.iter().enumerate() {
            let port = port(place);
            let end = format!("/proc/{}/fd/{}", std::process::id(), host.as_raw_fd());
            within(&network.switch, || {
                ip(&format!("link add {port} type veth peer name eth0 netns {end}"))?;
                ip(&format!("link set {port} up master switch"))
            })?;
            within(host, || {
                ip("link set lo up")?;
                ip(&format!("address add {}/24 brd + dev eth0", network.address(place)))?;
                ip("link set eth0 up multicast on")?;
                ip("route add default dev eth0")
            })?;
        }
        Ok(network)
    }

    /// Returns the address of a host, counted from 0.
    #[must_use]
    pub fn address(&self, host: usize) -> Ipv4Addr {
        let place = u8::try_from(host + 1).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, 99, 0, place)
    }

    /// Runs something on a host: sockets that it makes, threads and processes that it starts are there, whoever has them
    /// later.
    ///
    /// # Panics
    ///
    /// If there is no such host, or it panics.
    pub fn inside<T: Send>(&self, host: usize, run: impl FnOnce() -> T + Send) -> T {
        within(&self.hosts[host], run)
    }

    /// Takes the link of a host down: packets vanish, no connection is closed or refused, and whoever talks to it hears
    /// nothing any more.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn unplug(&self, host: usize) {
        self.link(host, "down");
    }

    /// Takes it up again.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn plug(&self, host: usize) {
        self.link(host, "up");
    }

    fn link(&self, host: usize, state: &str) {
        assert!(host < self.hosts.len(), "there is no host {host}");
        let set = within(&self.switch, || ip(&format!("link set {} {state}", port(host))));
        set.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// The name of a host's place at the switch.
fn port(host: usize) -> String {
    format!("port{host}")
}

/// A new namespace. It lives as long as somebody is in it or has it open.
fn space() -> Result<File> {
    let failed = |what: String| Failure::new(format!("cannot make a network namespace: {what}; {RIGHT}"));
    let mut holder = Command::new("unshare");
    holder.args(["--net", "sh", "-c", "echo made; read -r _"]);
    holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut holder = holder.spawn().map_err(|error| failed(format!("unshare does not start: {error}")))?;
    let mut line = String::new();
    let made = holder.stdout.take().is_some_and(|out| BufReader::new(out).read_line(&mut line).is_ok_and(|n| n > 0));
    let space = File::open(format!("/proc/{}/ns/net", holder.id()));
    // Its end: the pipe closes.
    let output = holder.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !made {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    space.map_err(|error| failed(error.to_string()))
}

/// Runs something on a thread in a namespace.
fn within<T: Send>(space: &File, run: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        let moved = move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network));
        moved.unwrap_or_else(|error| panic!("cannot enter a network namespace: {error}; {RIGHT}"));
        run()
    };
    thread::scope(|scope| match scope.spawn(inside).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn ip(arguments: &str) -> Result<()> {
    let failed = |what: &str| Failure::new(format!("`ip {arguments}` failed: {what}; {RIGHT}"));
    let output = Command::new("ip").args(arguments.split(' ')).output().map_err(|error| failed(&error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).trim())) }
}
