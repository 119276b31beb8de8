use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use micro_tls::Connector;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{Account, Config};
use crate::error::{Failed, text_of};

/// A server that falls silent is noticed after three of them.
const PING: Duration = Duration::from_secs(3);

/// One connection, to its end: the library does not renew it, so that nobody takes what was missed meanwhile for nothing.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    config: Config,
    fate: watch::Receiver<Fate>,
    /// The server dropped messages for us, which we were too slow for.
    pub(crate) missed: Arc<Notify>,
}

/// What became of it.
#[derive(Debug, Clone, Default)]
struct Fate {
    ended: bool,
    /// What the server refused.
    refused: Option<String>,
}

/// What a link hears.
pub(crate) struct Ears {
    /// What others tell, and we ourselves.
    pub(crate) told: Subscriber,
    /// What others ask, and we ourselves.
    pub(crate) asked: Subscriber,
}

impl Link {
    /// Opens it for the client of this name.
    pub(crate) async fn open(config: &Config, tls: Option<&Connector>, name: &str) -> Result<(Self, Ears), Failed> {
        let (fate, is) = watch::channel(Fate::default());
        let missed = Arc::new(Notify::new());
        let inbox = format!("_INBOX.{name}");
        let hears = Hears {
            fate,
            missed: Arc::clone(&missed),
            subjects: [config.query.clone(), config.watch.clone(), inbox.clone()],
        };
        let options = ConnectOptions::new()
            .name("micro-rs registry")
            .connection_timeout(config.timeout)
            .ping_interval(PING)
            .max_reconnects(config.servers.len())
            .ignore_discovered_servers()
            .custom_inbox_prefix(inbox)
            .event_callback(move |event| {
                hears.event(event);
                std::future::ready(())
            });
        let options = match tls {
            Some(tls) => {
                let tls = tls.config().map_err(|error| Failed::Setting(error.to_string()))?;
                options.require_tls(true).tls_client_config((*tls).clone())
            }
            None => options,
        };
        let options = match &config.account {
            None => options,
            Some(Account::User { user, password }) => {
                options.user_and_password(user.clone(), password.reveal().to_owned())
            }
            Some(Account::Token(token)) => options.token(token.reveal().to_owned()),
            Some(Account::Credentials(file)) => options.credentials_file(file).await.map_err(|error| {
                Failed::Setting(format!("the credentials of {} cannot be read: {error}", file.display()))
            })?,
        };
        let servers = config.servers.iter().map(|server| ServerAddr::from_str(server));
        let servers = servers.collect::<Result<Vec<_>, _>>();
        let servers = servers.map_err(|error| Failed::Setting(format!("an address is no server's: {error}")))?;
        let client = options.connect(servers).await?;
        let hears = async |subject: &str| client.subscribe(subject.to_owned()).await.map_err(|error| away(&error));
        let ears = Ears { told: hears(&config.watch).await?, asked: hears(&config.query).await? };
        Ok((Self { client, config: config.clone(), fate: is, missed }, ears))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.fate.borrow().ended
    }

    /// Waits for its end.
    pub(crate) async fn over(&self) {
        let _ = self.fate.clone().wait_for(|fate| fate.ended).await;
    }

    /// Sends something to all who hear of this subject.
    pub(crate) async fn publish(&self, subject: impl Into<Subject>, payload: Vec<u8>) -> Result<(), Failed> {
        self.check_size(&payload)?;
        let published = timeout(self.config.timeout, self.client.publish(subject.into(), payload.into()));
        published.await.map_err(|_| Failed::Late)?.map_err(|error| away(&error))
    }

    /// Asks all processes, and returns what they answer within the time that is waited.
    pub(crate) async fn ask(&self, question: Vec<u8>) -> Result<Vec<Bytes>, Failed> {
        self.check_size(&question)?;
        let inbox = self.client.new_inbox();
        let answers = self.client.subscribe(inbox.clone()).await.map_err(|error| away(&error))?;
        let query = self.client.publish_with_reply(self.config.query.clone(), inbox.clone(), question.into());
        query.await.map_err(|error| away(&error))?;
        // It comes back when the server has passed the question on.
        self.client.publish(inbox, Bytes::new()).await.map_err(|error| away(&error))?;
        self.or_trouble(self.gather(answers)).await
    }

    async fn gather(&self, mut answers: Subscriber) -> Result<Vec<Bytes>, Failed> {
        let mut gathered = Vec::new();
        let mut until = Instant::now() + self.config.timeout;
        let mut passed_on = false;
        while let Ok(answer) = timeout_at(until, answers.next()).await {
            let Some(answer) = answer else { return Err(Failed::Away("the connection ended".to_owned())) };
            match answer.payload {
                payload if !payload.is_empty() => gathered.push(payload),
                // That nobody listens is said with a status, and it has no answers.
                _ if answer.status.is_some() => {}
                _ => (passed_on, until) = (true, Instant::now() + self.config.wait),
            }
        }
        if passed_on { Ok(gathered) } else { Err(Failed::Late) }
    }

    /// Waits for something for as long as a call may take; less if the connection ends or the server refuses something.
    pub(crate) async fn or_trouble<T>(&self, work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let mut fate = self.fate.clone();
        let trouble = async {
            let fate = fate.wait_for(|fate| fate.ended).await;
            match fate.ok().and_then(|fate| fate.refused.clone()) {
                Some(refused) => Failed::Forbidden(refused),
                None => Failed::Away("the connection ended".to_owned()),
            }
        };
        tokio::select! {
            biased;
            done = timeout(self.config.timeout.saturating_add(self.config.wait), work) => {
                done.unwrap_or(Err(Failed::Late))
            }
            failed = trouble => Err(failed),
        }
    }

    pub(crate) fn check_size(&self, payload: &[u8]) -> Result<(), Failed> {
        match (payload.len(), self.client.max_payload()) {
            (size, most) if size > most => Err(Failed::Large { size, most }),
            _ => Ok(()),
        }
    }
}

/// Hears what becomes of a connection.
struct Hears {
    fate: watch::Sender<Fate>,
    missed: Arc<Notify>,
    /// Those that we cannot do without.
    subjects: [String; 3],
}

impl Hears {
    fn event(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => self.fate.send_modify(|fate| fate.ended = true),
            Event::SlowConsumer(_) => self.missed.notify_one(),
            Event::ServerError(ServerError::Other(why)) if self.is_refusal(&why) => {
                // What is allowed may change, and a new connection knows.
                self.fate.send_modify(|fate| *fate = Fate { ended: true, refused: Some(why) });
            }
            Event::ServerError(error) => tracing::warn!(%error, "the NATS server of the registry refuses something"),
            _ => {}
        }
    }

    fn is_refusal(&self, why: &str) -> bool {
        let is_permission = why.to_lowercase().contains("permissions violation");
        is_permission && self.subjects.iter().any(|subject| why.contains(subject.as_str()))
    }
}

fn away(error: &(dyn std::error::Error + 'static)) -> Failed {
    Failed::Away(text_of(error))
}
