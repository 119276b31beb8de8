use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use micro_conformance::transport::{Call, Client, ClientOptions, Fixture, Receiver, Sender, Upload};
use micro_core::error::Retry;
use micro_core::{Error, Kind, Result};
use tokio::time::timeout;

use super::grpc::Grpc;
use super::streams::{In, Open, Out, Up};
use super::wrong::Wrong;

/// A client with one thing wrong.
#[derive(Debug)]
pub(super) struct BrokenClient {
    wrong: Wrong,
    inner: Arc<dyn Client>,
    /// With a connection of its own.
    other: Arc<dyn Client>,
    max_message: usize,
    calls: AtomicUsize,
    dead: AtomicBool,
    one: tokio::sync::Mutex<()>,
    open: Open,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    answer: Option<Bytes>,
    bodies: Vec<Bytes>,
    metadata: Vec<(&'static str, Bytes)>,
}

fn text(bytes: &[u8]) -> Bytes {
    String::from_utf8_lossy(bytes).into_owned().into()
}

impl BrokenClient {
    pub(super) fn new(wrong: Wrong, address: &str, options: ClientOptions) -> Self {
        let max_message = options.max_message;
        let client = || Grpc.client(address, options.clone());
        Self {
            wrong,
            inner: client(),
            other: client(),
            max_message,
            calls: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            one: tokio::sync::Mutex::new(()),
            open: Open::default(),
            kept: Mutex::default(),
        }
    }

    /// What goes wrong with a call before it is made.
    fn before(&self, mut call: Call, number: usize) -> Result<Call> {
        let refuse = |kind| Err(Error::new(kind, "not today"));
        let length = call.body.len();
        match self.wrong {
            _ if self.dead.load(Ordering::SeqCst) => return refuse(Kind::Unavailable),
            Wrong::TakesBodiesForText => call.body = text(&call.body),
            Wrong::RefusesEmptyRequests if length == 0 => return refuse(Kind::Decode),
            Wrong::RefusesLargeMessages if length > 1 << 20 => return refuse(Kind::TooLarge),
            Wrong::CutsLargeMessages => call.body.truncate(1 << 20),
            Wrong::RefusesTheLargestMessage if length >= self.max_message.min(10_000) => return refuse(Kind::TooLarge),
            Wrong::LosesMetadata => call.metadata.clear(),
            Wrong::TakesMetadataForText => call.metadata.iter_mut().for_each(|(_, value)| *value = text(value)),
            Wrong::SendsOneValueAName => call.metadata.dedup_by_key(|(name, _)| *name),
            Wrong::KeepsMetadata => {
                let mut kept = self.kept.lock().unwrap();
                kept.metadata.append(&mut call.metadata);
                call.metadata.clone_from(&kept.metadata);
            }
            Wrong::TellsNoDeadline | Wrong::HasNoTime => call.timeout = None,
            Wrong::EndsBeforeItsTime => call.timeout = call.timeout.map(|timeout| timeout / 2),
            Wrong::ForgetsTheContext => call.context = None,
            Wrong::FailsNowAndThen if number % 97 == 50 => return refuse(Kind::Unavailable),
            Wrong::KeepsBodies => self.kept.lock().unwrap().bodies.push(call.body.clone()),
            Wrong::LeavesTasks => drop(tokio::spawn(pending::<()>())),
            _ => {}
        }
        Ok(call)
    }

    async fn make(&self, call: Call, number: usize) -> Result<Bytes> {
        let client = match self.wrong {
            Wrong::OpensConnections if number % 10 == 9 => &self.other,
            _ => &self.inner,
        };
        match self.wrong {
            Wrong::LetsCallsRunOn | Wrong::ForgetsTheContext => {
                let client = Arc::clone(client);
                tokio::spawn(async move { client.call(call).await }).await.unwrap()
            }
            Wrong::EndsSlowCalls => {
                let ended = timeout(Duration::from_millis(600), client.call(call)).await;
                ended.unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "too slow")))
            }
            Wrong::CallsOneByOne => {
                let _one = self.one.lock().await;
                client.call(call).await
            }
            Wrong::StreamsHoldUpCalls => {
                self.open.none().await;
                client.call(call).await
            }
            Wrong::SaysNothingOfCertificates => {
                let answered = client.call(call).await;
                answered.map_err(|error| Error::new(error.kind(), "no connection"))
            }
            _ => client.call(call).await,
        }
    }

    /// Whether the call is made a second time.
    fn again(&self, answered: &Result<Bytes>) -> bool {
        match (self.wrong, answered) {
            (Wrong::CallsTwice, Ok(_)) | (Wrong::CallsAgainWhatFailed, Err(_)) => true,
            (Wrong::CallsAgainWhatWasTooLarge, Err(error)) => error.kind() == Kind::TooLarge,
            (Wrong::CallsAgainAfterItsTime, Err(error)) => error.kind() == Kind::Timeout,
            _ => false,
        }
    }

    /// What goes wrong with what comes back.
    async fn after(&self, answered: Result<Bytes>) -> Result<Bytes> {
        match answered {
            Ok(answer) if self.wrong == Wrong::AnswersWithTheLastAnswer => {
                Ok(self.kept.lock().unwrap().answer.replace(answer.clone()).unwrap_or(answer))
            }
            Ok(answer) if self.wrong == Wrong::TakesEmptyAnswersForNone && answer.is_empty() => {
                Err(Error::new(Kind::Internal, "there is no answer"))
            }
            Ok(answer) => Ok(answer),
            Err(error) => self.mistake(error).await,
        }
    }

    /// What stands in for an error.
    async fn mistake(&self, error: Error) -> Result<Bytes> {
        let kind = error.kind();
        let is_gone = matches!(kind, Kind::Unavailable | Kind::Refused);
        let is_unknown = matches!(kind, Kind::UnknownEndpoint | Kind::Unsupported);
        let of = |kind| Error::new(kind, error.detail()).id(error.get_id()).with_code(error.code());
        match self.wrong {
            Wrong::TooLargeIsInternal if kind == Kind::TooLarge => Err(of(Kind::Internal)),
            Wrong::LosesKinds => Err(of(Kind::Unknown)),
            Wrong::LosesCodes => Err(error.with_code(500)),
            Wrong::LosesIds => Err(error.id("")),
            Wrong::CutsTexts => {
                let cut: String = error.detail().chars().take(100).collect();
                Err(Error::new(kind, cut).id(error.get_id()).with_code(error.code()))
            }
            Wrong::OverIsCancelled if kind == Kind::Timeout => Err(of(Kind::Cancelled)),
            Wrong::WaitsForTheDead if is_gone => pending().await,
            Wrong::GoneIsInternal if is_gone => Err(of(Kind::Internal)),
            Wrong::NeverComesBack if is_gone => {
                self.dead.store(true, Ordering::SeqCst);
                Err(error)
            }
            Wrong::RefusesForGood => Err(error.with_retry(Retry::Never)),
            Wrong::EndsWellWhatIsCutOff if is_gone => Ok(Bytes::new()),
            Wrong::PanicsAreUnavailable if kind == Kind::Internal => Err(of(Kind::Unavailable)),
            Wrong::NothingComesAfterAPanic if kind == Kind::Internal => {
                self.dead.store(true, Ordering::SeqCst);
                Err(error)
            }
            Wrong::UnknownIsNotFound if is_unknown => Err(of(Kind::NotFound)),
            Wrong::UnknownIsNotNamed if is_unknown => Err(Error::new(kind, "it is not here")),
            Wrong::UnknownIsEmpty if is_unknown => Ok(Bytes::new()),
            _ => Err(error),
        }
    }
}

#[async_trait]
impl Client for BrokenClient {
    async fn call(&self, call: Call) -> Result<Bytes> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let call = self.before(call, number)?;
        let mut answered = self.make(call.clone(), number).await;
        if self.again(&answered) {
            answered = self.make(call, number).await;
        }
        self.after(answered).await
    }

    async fn server_stream(&self, call: Call) -> Result<Box<dyn Receiver>> {
        let messages = self.inner.server_stream(call).await?;
        Ok(Box::new(In::new(messages, self.wrong, &Arc::new(AtomicBool::new(true)), self.open.begin())))
    }

    async fn client_stream(&self, call: Call) -> Result<Box<dyn Upload>> {
        let upload = self.inner.client_stream(call).await?;
        let open = self.open.begin();
        Ok(Box::new(Up { inner: Some(upload), wrong: self.wrong, open, queued: Mutex::default() }))
    }

    async fn stream(&self, call: Call) -> Result<(Box<dyn Sender>, Box<dyn Receiver>)> {
        let (out, messages) = self.inner.stream(call).await?;
        let sent_all = Arc::new(AtomicBool::new(false));
        let messages = In::new(messages, self.wrong, &sent_all, self.open.begin());
        Ok((Box::new(Out { inner: Some(out), wrong: self.wrong, sent_all }), Box::new(messages)))
    }

    async fn health(&self, service: &str) -> Result<bool> {
        match self.wrong {
            Wrong::DeclaresNothing => Err(Error::unsupported("it", "health")),
            Wrong::AlwaysServes => match self.inner.health(service).await {
                Err(error) if error.kind() != Kind::NotFound => Ok(true),
                other => other,
            },
            Wrong::NeverServes => self.inner.health(service).await.map(|_| false),
            Wrong::ServesWhatIsNotThere => match self.inner.health(service).await {
                Err(error) if error.kind() == Kind::NotFound => Ok(true),
                other => other,
            },
            _ => self.inner.health(service).await,
        }
    }

    async fn services(&self) -> Result<Vec<String>> {
        match self.wrong {
            Wrong::DeclaresNothing => Err(Error::unsupported("it", "reflection")),
            Wrong::NamesNoService => Ok(Vec::new()),
            _ => self.inner.services().await,
        }
    }

    async fn describes(&self, service: &str, method: &str) -> Result<bool> {
        match self.wrong {
            Wrong::DeclaresNothing => Err(Error::unsupported("it", "reflection")),
            Wrong::DescribesAnything => Ok(true),
            Wrong::DescribesNothing => Ok(false),
            _ => self.inner.describes(service, method).await,
        }
    }
}
