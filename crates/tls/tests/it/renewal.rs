//! Certificates that change under a running program.

use std::time::{Duration, Instant};

use micro_core::tls::{ClientTls, ServerTls};
use micro_faults::Authority;
use micro_tls::{Acceptor, Connector};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_secs(10);

/// Serves connections that answer each byte by the next.
async fn serve(tls: ServerTls) -> String {
    let acceptor = std::sync::Arc::new(Acceptor::new(tls, &[]).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while let Ok(byte) = stream.read_u8().await {
                    stream.write_u8(byte + 1).await.unwrap();
                }
            });
        }
    });
    address
}

async fn connected(client: &Connector, address: &str) -> Option<micro_tls::ClientStream<TcpStream>> {
    client.connect(address, TcpStream::connect(address).await.unwrap()).await.ok()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_open_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) =
        (Authority::in_folder(folder.path(), "before").unwrap(), Authority::in_folder(folder.path(), "after").unwrap());
    let own = before.sign("server", &["127.0.0.1"]).unwrap();
    let address = serve(ServerTls::new(own.certificate, own.key)).await;
    let old = Connector::new(ClientTls::new().authority(before.certificate()), &[]);
    let new = Connector::new(ClientTls::new().authority(after.certificate()), &[]);
    let mut open = connected(&old, &address).await.unwrap();
    assert!(connected(&new, &address).await.is_none());

    after.sign("server", &["127.0.0.1"]).unwrap();
    let until = Instant::now() + LIMIT;
    while connected(&new, &address).await.is_none() {
        assert!(Instant::now() < until, "the new certificate is never shown");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(connected(&old, &address).await.is_none());
    open.write_u8(1).await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), 2);
}

#[tokio::test]
async fn a_renewal_that_cannot_be_used_leaves_what_was() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::in_folder(folder.path(), "authority").unwrap();
    let own = authority.sign("server", &["127.0.0.1"]).unwrap();
    let address = serve(ServerTls::new(&own.certificate, &own.key)).await;
    let client = Connector::new(ClientTls::new().authority(authority.certificate()), &[]);
    assert!(connected(&client, &address).await.is_some());
    std::fs::write(&own.key, "half of a k").unwrap();
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        assert!(connected(&client, &address).await.is_some(), "the old certificate is not shown any more");
        sleep(Duration::from_millis(20)).await;
    }
}
