use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

/// Sets what every connection has, at either end: small frames leave at once, and what is not acknowledged for long ends
/// the connection.
pub(crate) fn prepare(stream: &TcpStream, patience: Duration) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(patience));
    #[cfg(not(target_os = "linux"))]
    let _ = (SockRef::from(stream), patience);
}
