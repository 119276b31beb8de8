//! T19 to T22: over TLS.

use std::sync::Arc;
use std::time::Duration;

use micro_core::Kind;
use micro_core::tls::{ClientTls, ServerTls};
use micro_faults::{Authority, Validity};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::handlers::{Running, chat};
use super::stage::failed;
use super::{Call, Client, ClientOptions, Method, Server, ServerOptions, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { transport:
    T19 over_tls_calls_and_streams_go_as_in_clear_text [Tls] "over TLS calls and streams go as in clear text, and a client in clear text gets an error";
    T20 with_mutual_tls_only_known_clients_are_served [Tls] "where a server asks for certificates it serves who has one of its authority; another, with none, a foreign one or one out of date, gets an error that says so, and none of its calls runs";
    T21 a_client_calls_no_server_that_it_does_not_believe [Tls] "a server with a certificate for another name, out of date, not valid yet or of another authority is not called, and the error says which of these it is";
    T22 a_renewed_certificate_is_shown_without_a_restart [Tls] "a certificate that is replaced while the server runs is shown to new connections within a few seconds, and a stream that was open goes on";
}

/// Whom a client that cannot be served does not blame.
const REFUSED: &[Kind] = &[Kind::Unavailable, Kind::Config];

/// What a test has of certificates.
struct House {
    _folder: TempDir,
    ours: Authority,
    others: Authority,
}

impl House {
    fn new() -> Result<Self, Failed> {
        let folder = tempfile::tempdir().map_err(|error| Failed::new(error.to_string()))?;
        let authority =
            |name| Authority::in_folder(folder.path(), name).map_err(|error| Failed::new(error.to_string()));
        Ok(Self { ours: authority("ours")?, others: authority("others")?, _folder: folder })
    }

    fn server(&self, of: &Authority, hosts: &[&str], validity: Validity) -> Result<ServerTls, Failed> {
        let own = of.sign_for("server", hosts, validity).map_err(|error| Failed::new(error.to_string()))?;
        Ok(ServerTls::new(own.certificate, own.key))
    }

    fn client(&self) -> ClientTls {
        ClientTls::new().authority(self.ours.certificate())
    }

    fn client_of(&self, of: &Authority, name: &str, validity: Validity) -> Result<ClientTls, Failed> {
        let own = of.sign_for(name, &["client"], validity).map_err(|error| Failed::new(error.to_string()))?;
        Ok(self.client().identity(own.certificate, own.key))
    }
}

/// `Suite.Echo`, counted, and `Suite.Chat`.
fn methods(running: &Running) -> Vec<Method> {
    let counted = running.clone();
    let echo = Method::unary("Suite.Echo", move |_, body| {
        let _counted = counted.begin();
        async move { Ok(body) }
    });
    vec![echo, chat(&Running::default())]
}

async fn serve(stage: &Stage, running: &Running, tls: ServerTls) -> Result<Box<dyn Server>, Failed> {
    let options = ServerOptions { tls: Some(tls), ..ServerOptions::default() };
    stage.serve_with(methods(running), options).await
}

fn client(stage: &Stage, server: &dyn Server, tls: ClientTls) -> Arc<dyn Client> {
    stage.client_with(&server.address(), ClientOptions { tls: Some(tls), ..ClientOptions::default() })
}

async fn answered(stage: &Stage, client: &Arc<dyn Client>) -> Result<(), Failed> {
    let answer = stage.present("a call", client.call(Call::new("Suite.Echo", "hello"))).await??;
    ensure!(answer == "hello", "the answer is {answer:?}");
    Ok(())
}

async fn over_tls_calls_and_streams_go_as_in_clear_text(stage: Stage) -> Result<(), Failed> {
    let house = House::new()?;
    let running = Running::default();
    let tls = house.server(&house.ours, &["127.0.0.1"], Validity::Now)?;
    let server = serve(&stage, &running, tls).await?;
    let caller = client(&stage, &*server, house.client());
    answered(&stage, &caller).await?;
    let (out, mut answers) = stage.present("a stream", caller.stream(Call::new("Suite.Chat", ""))).await??;
    for message in ["one", "two"] {
        stage.present("sending", out.send(message.into())).await??;
        let answer = stage.next(&mut answers).await?;
        ensure!(answer == message, "the stream answers {answer:?}");
    }
    drop(out);
    stage.end(&mut answers).await?;
    let ran = running.ever();
    let plain = stage.client(&server.address());
    let ended = stage.present("a call in clear text", plain.call(Call::new("Suite.Echo", "hello"))).await?;
    failed("a call in clear text to a server with TLS", ended, REFUSED)?;
    ensure!(running.ever() == ran, "a call in clear text ran at a server with TLS");
    Ok(())
}

async fn with_mutual_tls_only_known_clients_are_served(stage: Stage) -> Result<(), Failed> {
    let house = House::new()?;
    let running = Running::default();
    let tls = house.server(&house.ours, &["127.0.0.1"], Validity::Now)?.client_authority(house.ours.certificate());
    let server = serve(&stage, &running, tls).await?;
    let known = house.client_of(&house.ours, "known", Validity::Now)?;
    answered(&stage, &client(&stage, &*server, known)).await?;
    let ran = running.ever();
    for (what, tls) in [
        ("no certificate", house.client()),
        ("a foreign certificate", house.client_of(&house.others, "foreign", Validity::Now)?),
        ("a certificate out of date", house.client_of(&house.ours, "old", Validity::Past)?),
    ] {
        let caller = client(&stage, &*server, tls);
        let ended = stage.present("the error", caller.call(Call::new("Suite.Echo", "hello"))).await?;
        let error = failed(&format!("a call with {what}"), ended, REFUSED)?;
        let text = error.to_string();
        ensure!(text.contains("certificate"), "of {what} the error says only: {text}");
    }
    ensure!(running.ever() == ran, "a call of an unknown client ran");
    Ok(())
}

async fn a_client_calls_no_server_that_it_does_not_believe(stage: Stage) -> Result<(), Failed> {
    let house = House::new()?;
    for (word, of, host, validity) in [
        ("name", &house.ours, "elsewhere.shop", Validity::Now),
        ("out of date", &house.ours, "127.0.0.1", Validity::Past),
        ("not valid yet", &house.ours, "127.0.0.1", Validity::Future),
        ("authority", &house.others, "127.0.0.1", Validity::Now),
    ] {
        let running = Running::default();
        let server = serve(&stage, &running, house.server(of, &[host], validity)?).await?;
        let caller = client(&stage, &*server, house.client());
        let ended = stage.present("the error", caller.call(Call::new("Suite.Echo", "hello"))).await?;
        let error = failed("a call to a server that is not believed", ended, REFUSED)?;
        let text = error.to_string();
        ensure!(text.contains(word), "the error does not say {word:?}: {text}");
        ensure!(text.contains(&server.address()), "the error does not name the server: {text}");
        ensure!(running.ever() == 0, "a server that is not believed was called");
    }
    Ok(())
}

async fn a_renewed_certificate_is_shown_without_a_restart(stage: Stage) -> Result<(), Failed> {
    let house = House::new()?;
    let tls = house.server(&house.ours, &["127.0.0.1"], Validity::Now)?;
    let server = serve(&stage, &Running::default(), tls).await?;
    let before = client(&stage, &*server, house.client());
    let (out, mut answers) = stage.present("a stream", before.stream(Call::new("Suite.Chat", ""))).await??;
    // Each a client of its own, with a connection of its own.
    let after = async || {
        let tls = ClientTls::new().authority(house.others.certificate());
        let caller = client(&stage, &*server, tls);
        Ok::<_, Failed>(stage.present("a call", caller.call(Call::new("Suite.Echo", "hello"))).await?.is_ok())
    };
    ensure!(!after().await?, "the new authority is believed before there is a certificate of it");
    house.server(&house.others, &["127.0.0.1"], Validity::Now)?;
    let until = Instant::now() + stage.limits().present;
    while !after().await? {
        ensure!(Instant::now() < until, "the new certificate is never shown");
        sleep(Duration::from_millis(20)).await;
    }
    let old = client(&stage, &*server, house.client());
    let ended = stage.present("a call", old.call(Call::new("Suite.Echo", "hello"))).await?;
    failed("a call by the old authority", ended, REFUSED)?;
    stage.present("sending", out.send("still here".into())).await??;
    let answer = stage.next(&mut answers).await?;
    ensure!(answer == "still here", "the stream answers {answer:?}");
    Ok(())
}
