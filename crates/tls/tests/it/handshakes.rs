//! Two sides that come together, and every way in which they do not.

use std::path::Path;
use std::time::Duration;

use micro_core::tls::{ClientTls, ServerTls};
use micro_core::{Error, Kind};
use micro_faults::{Authority, Validity};
use micro_tls::{Acceptor, Connector, rejected};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);

struct House {
    _folder: TempDir,
    ours: Authority,
    others: Authority,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::in_folder(folder.path(), "ours").unwrap();
    let others = Authority::in_folder(folder.path(), "others").unwrap();
    House { _folder: folder, ours, others }
}

impl House {
    fn server(&self) -> ServerTls {
        let own = self.ours.sign("server", &["127.0.0.1", "orders.shop"]).unwrap();
        ServerTls::new(own.certificate, own.key)
    }

    fn client(&self) -> ClientTls {
        ClientTls::new().authority(self.ours.certificate())
    }
}

/// Serves one connection that answers a byte by the next, and returns its address.
async fn serve(tls: ServerTls) -> String {
    let acceptor = Acceptor::new(tls, &["h2"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let byte = stream.read_u8().await.unwrap();
            stream.write_u8(byte + 1).await.unwrap();
        }
    });
    address
}

async fn connect(tls: ClientTls, address: &str) -> Result<micro_tls::ClientStream<TcpStream>, Error> {
    let stream = TcpStream::connect(address.replace("localhost", "127.0.0.1")).await.unwrap();
    timeout(LIMIT, Connector::new(tls, &["h2"]).connect(address, stream)).await.unwrap()
}

async fn refused(server: ServerTls, client: ClientTls) -> Error {
    let address = serve(server).await;
    let error = connect(client, &address).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.to_string().contains(&address), "{error}");
    error
}

#[tokio::test]
async fn a_client_that_believes_the_authority_is_connected() {
    let house = house();
    let mut stream = connect(house.client(), &serve(house.server()).await).await.unwrap();
    stream.write_u8(1).await.unwrap();
    assert_eq!(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(), 2);
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn the_expected_name_may_be_another_than_the_dialled_one() {
    let house = house();
    connect(house.client().server_name("orders.shop"), &serve(house.server()).await).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_by_name() {
    let house = house();
    let error = refused(house.server(), house.client().server_name("payments.shop")).await;
    assert!(error.to_string().contains("for another name") && error.to_string().contains("payments.shop"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let house = house();
    let error = refused(house.server(), ClientTls::new().authority(house.others.certificate())).await;
    assert!(error.to_string().contains("an authority that is not believed"), "{error}");
}

#[tokio::test]
async fn a_certificate_out_of_date_or_not_valid_yet_is_refused_as_that() {
    for (validity, word) in [(Validity::Past, "out of date"), (Validity::Future, "not valid yet")] {
        let house = house();
        let own = house.ours.sign_for("server", &["127.0.0.1"], validity).unwrap();
        let error = refused(ServerTls::new(own.certificate, own.key), house.client()).await;
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn without_verification_any_certificate_will_do() {
    let house = house();
    let own = house.others.sign_for("server", &["elsewhere"], Validity::Past).unwrap();
    let address = serve(ServerTls::new(own.certificate, own.key)).await;
    connect(house.client().without_verification(), &address).await.unwrap();
}

#[tokio::test]
async fn mutual_tls_lets_in_whom_the_authority_signed() {
    let house = house();
    let own = house.ours.sign("client", &["client"]).unwrap();
    let address = serve(house.server().client_authority(house.ours.certificate())).await;
    let mut stream = connect(house.client().identity(own.certificate, own.key), &address).await.unwrap();
    stream.write_u8(1).await.unwrap();
    assert_eq!(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn mutual_tls_tells_others_why_they_are_not_let_in() {
    let house = house();
    let foreign = house.others.sign("client", &["client"]).unwrap();
    let old = house.ours.sign_for("old", &["client"], Validity::Past).unwrap();
    let none = house.client();
    for (client, word) in [
        (none.clone(), "wants a certificate"),
        (none.clone().identity(foreign.certificate, foreign.key), "did not believe our certificate"),
        (none.identity(old.certificate, old.key), "out of date"),
    ] {
        let address = serve(house.server().client_authority(house.ours.certificate())).await;
        // TLS 1.3 has the client done before the server looks at its certificate.
        let mut stream = connect(client, &address).await.unwrap();
        let error = timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap_err();
        let text = rejected(&error).unwrap_or_else(|| panic!("{error}"));
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn a_server_in_plain_is_told_from_one_that_refuses() {
    let house = house();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let error = connect(house.client(), &address).await.unwrap_err();
    assert!(error.to_string().contains("may listen in plain"), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_or_resets_in_the_handshake_may_speak_no_tls() {
    for reads in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4_096];
            // What is closed with something unread is reset.
            let seen = if reads { stream.read(&mut hello).await } else { stream.peek(&mut hello).await };
            assert!(seen.unwrap() > 0);
        });
        let error = connect(house().client(), &address).await.unwrap_err();
        assert!(error.to_string().contains("may speak no TLS"), "{reads}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let house = house();
    let own = house.ours.sign("server", &["127.0.0.1"]).unwrap();
    let other = house.ours.sign("other", &["127.0.0.1"]).unwrap();
    let empty = own.certificate.with_file_name("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let missing = Path::new("/nowhere/server.pem");
    for (certificate, key, word) in [
        (missing, &*own.key, "/nowhere/server.pem cannot be read"),
        (&*own.certificate, missing, "/nowhere/server.pem cannot be read"),
        (&*empty, &*own.key, "no certificate in PEM"),
        (&*own.certificate, &*empty, "no private key in PEM"),
        (&*own.certificate, &*other.key, "server.pem cannot be used"),
    ] {
        let error = Acceptor::new(ServerTls::new(certificate, key), &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(word), "{error}");
    }
}
