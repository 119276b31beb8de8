use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Sets what every connection has, at either end: small frames leave at once, and what is not acknowledged for long ends
/// the connection.
pub(crate) fn prepare(stream: &TcpStream, patience: Duration) {
    let _ = stream.set_nodelay(true);
    // Where nothing is sent, nothing is missed: then only probes tell that the other machine is gone.
    let probes = TcpKeepalive::new().with_time(patience).with_interval((patience / 3).max(Duration::from_secs(1)));
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(patience));
}
