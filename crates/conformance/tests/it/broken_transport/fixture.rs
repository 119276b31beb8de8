use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_conformance::transport::{Capability, Client, ClientOptions, Fixture, Limits, Method, Server, ServerOptions};
use micro_core::Result;
use micro_core::tls::{ClientTls, Identity, ServerTls};

use super::client::BrokenClient;
use super::grpc::Grpc;
use super::server::{BrokenServer, broken};
use super::wrong::Wrong;

/// A server with these certificates that lets everybody in.
fn on_files(identity: &Identity, file: impl Fn(&Path) -> PathBuf) -> ServerTls {
    ServerTls::new(file(&identity.certificate), file(&identity.key))
}

/// A file beside this one, that nobody renews.
fn copied(file: &Path) -> PathBuf {
    let copy = file.with_added_extension("once");
    std::fs::copy(file, &copy).unwrap();
    copy
}

/// The gRPC of the house, with one thing wrong.
#[derive(Debug)]
pub(super) struct Broken(pub(super) Wrong);

#[async_trait]
impl Fixture for Broken {
    fn name(&self) -> &'static str {
        "transport-broken"
    }

    fn capability(&self) -> Capability {
        match self.0 {
            Wrong::DeclaresNothing | Wrong::AnswersWhatItDoesNotDeclare => Capability::default(),
            _ => Grpc.capability(),
        }
    }

    async fn serve(&self, address: &str, methods: Vec<Method>, options: ServerOptions) -> Result<Box<dyn Server>> {
        let (mut options, usual) = (options, ServerOptions::default());
        match self.0 {
            Wrong::HasNoLimitAtTheServer => options.max_message = usual.max_message,
            Wrong::DoesNotAskClients => options.keep_alive = usual.keep_alive,
            Wrong::SpeaksNoTls => options.tls = None,
            Wrong::ServesAnybody => {
                options.tls = options.tls.map(|tls| on_files(tls.get_identity(), |file| file.to_owned()))
            }
            Wrong::ReadsCertificatesOnce => options.tls = options.tls.map(|tls| on_files(tls.get_identity(), copied)),
            _ => {}
        }
        let methods = methods.into_iter().map(|method| broken(method, self.0)).collect();
        let inner = Grpc.serve(address, methods, options).await?;
        Ok(Box::new(BrokenServer { inner, wrong: self.0 }))
    }

    fn client(&self, address: &str, options: ClientOptions) -> Arc<dyn Client> {
        let (mut options, usual) = (options, ClientOptions::default());
        match self.0 {
            Wrong::HasNoLimitAtTheClient => options.max_message = usual.max_message,
            Wrong::DoesNotAskServers => options.keep_alive = usual.keep_alive,
            Wrong::SpeaksNoTls | Wrong::ServesNobody => options.tls = None,
            Wrong::BelievesAnybody => options.tls = options.tls.map(ClientTls::without_verification),
            _ => {}
        }
        Arc::new(BrokenClient::new(self.0, address, options))
    }

    /// What is broken mostly shows by something that does not come.
    fn limits(&self) -> Limits {
        Limits::default().present(Duration::from_secs(6)).absent(Duration::from_millis(200))
    }
}
