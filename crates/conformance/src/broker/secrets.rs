//! B82: what is shown of a client, whatever becomes of it.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use micro_core::Error;
use micro_core::broker::{Broker, Message, SubscribeOptions};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::Stage;
use super::stage::numbered;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B82 nothing_shows_a_secret [Nobody] "neither a client, its options, subscriptions and errors, nor a line of the log shows a password";
}

/// The password of a client of nobody.
const NOBODYS: &str = "secret";

/// In a thread of its own, so that what is logged there is heard by it alone.
async fn nothing_shows_a_secret(stage: Stage) -> Result<(), Failed> {
    let alone = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::new(format!("no runtime for it: {error}")))?;
        let eye = Eye::default();
        eye.look_for(NOBODYS);
        let _open = eye.open();
        let _listening = tracing::subscriber::set_default(eye.clone());
        let elsewhere = Eye::of_other_threads();
        elsewhere.look_for(NOBODYS);
        let _open_elsewhere = elsewhere.open();
        let outcome = runtime.block_on(look(&stage, &eye, elsewhere));
        runtime.shutdown_background();
        outcome
    });
    alone.await.map_err(|error| Failed::new(format!("it panicked: {error}")))?
}

async fn look(stage: &Stage, eye: &Eye, elsewhere: &Eye) -> Result<(), Failed> {
    tracing::trace!(of = "the suite", "this is heard");
    ensure!(eye.lock().heard > 0, "the log is not heard");
    nobody(stage, eye).await?;
    eye.saw_nothing()?;
    if let Some(guarded) = stage.guarded() {
        for password in guarded.passwords() {
            eye.look_for(&password);
            elsewhere.look_for(&password);
        }
        let stranger = guarded.stranger();
        eye.error("connecting with a wrong password", stage.present("a refusal", stranger.connect()).await?);
        eye.client("a stranger", &stranger);
        friend(stage, eye, &guarded.friend()).await?;
        eye.saw_nothing()?;
    }
    elsewhere.saw_nothing()
}

/// Everything that fails with a client of nobody.
async fn nobody(stage: &Stage, eye: &Eye) -> Result<(), Failed> {
    let client = stage.nobody()?;
    eye.client("a client", &client);
    attempts(stage, eye, &client).await?;
    let limit = stage.limits().present * 2;
    let connected = tokio::time::timeout(limit, client.connect()).await;
    let connected = connected.map_err(|_| Failed::new(format!("connecting to nobody: no answer within {limit:?}")))?;
    ensure!(connected.is_err(), "it connected to nobody");
    eye.error("connecting", connected);
    eye.client("a client that did not connect", &client);
    attempts(stage, eye, &client).await?;
    let options = client.options();
    for address in [
        options.address.clone().with_param("no-such-parameter", "1"),
        options.address.clone().with_path("/no/such/path"),
    ] {
        eye.error("setting a wrong address", client.init(options.clone().address(address)));
        eye.client("a client with a wrong address", &client);
    }
    Ok(())
}

/// What cannot be done by a client that is not connected.
async fn attempts(stage: &Stage, eye: &Eye, client: &Arc<dyn Broker>) -> Result<(), Failed> {
    let topic = stage.topic("t");
    let receipts = client.publish(&topic, numbered(0..2));
    eye.show("receipts to come", &receipts);
    // One that waits for the server is as good as refused here.
    if let Ok(results) = tokio::time::timeout(stage.limits().absent, receipts).await {
        results.into_iter().for_each(|result| eye.error("publishing", result));
    }
    let options = SubscribeOptions::new();
    eye.show("options of a subscription", &options);
    if let Ok(result) = tokio::time::timeout(stage.limits().absent, client.subscribe(&topic, options)).await {
        eye.error("subscribing", result);
    }
    if let Ok(result) = tokio::time::timeout(stage.limits().absent, client.ready()).await {
        eye.error("waiting for room", result);
    }
    if let Ok(result) = tokio::time::timeout(stage.limits().absent, client.transaction()).await {
        eye.error("a transaction", result);
    }
    Ok(())
}

/// A client that is let in: what it holds, and what it does wrong.
async fn friend(stage: &Stage, eye: &Eye, client: &Arc<dyn Broker>) -> Result<(), Failed> {
    stage.present("connect", client.connect()).await??;
    eye.client("a connected client", client);
    let topic = stage.topic("friend");
    let mut options = SubscribeOptions::new();
    if client.capability().queues {
        options = options.queue(stage.queue("q"));
    }
    let mut subscription = stage.subscribe(client, &topic, options).await?;
    eye.show("a subscription", &subscription);
    eye.show("receipts", &stage.publish(client, &topic, numbered(0..1)).await?);
    let delivery = stage.take_one(&mut subscription).await?;
    eye.show("a delivery", &delivery);
    stage.present("the answer's confirmation", delivery.ack()).await??;
    let bad = client.publish(&topic, vec![Message::new("bad").header("Bad", "a\r\nInjected: 1")]);
    eye.error("publishing what is wrong", stage.present("a receipt", bad.first()).await?);
    let nowhere = micro_core::broker::Position::Offset { partition: 0, offset: u64::MAX };
    let nowhere = micro_core::broker::Start::At(nowhere);
    eye.error("a seek to nowhere", stage.present("a seek", subscription.seek(nowhere)).await?);
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    stage.present("disconnect", client.disconnect()).await??;
    eye.client("a client that is closed", client);
    attempts(stage, eye, client).await
}

/// Looks for secrets in what is shown, and in the log.
#[derive(Debug, Clone, Default)]
struct Eye {
    seen: Arc<Mutex<Seen>>,
    /// How many look through it. With none it is closed: the tests beside this one must not pay for it.
    open: Arc<AtomicUsize>,
}

/// Closes the eye again.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Debug, Default)]
struct Seen {
    secrets: Vec<String>,
    /// Lines of the log so far.
    heard: usize,
    /// The first place where a secret stood.
    first: Option<String>,
}

impl Eye {
    /// Hears what threads log that belong to the plugin. It cannot where the process has another listener already.
    fn of_other_threads() -> &'static Self {
        static EYE: OnceLock<Eye> = OnceLock::new();
        EYE.get_or_init(|| {
            let eye = Self::default();
            let _ = tracing::subscriber::set_global_default(eye.clone());
            eye
        })
    }

    fn open(&self) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        Open(Arc::clone(&self.open))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for(&self, secret: &str) {
        let mut seen = self.lock();
        if !seen.secrets.iter().any(|known| known == secret) {
            seen.secrets.push(secret.to_owned());
        }
    }

    fn text(&self, what: &str, text: &str) {
        let mut seen = self.lock();
        if seen.first.is_none()
            && let Some(secret) = seen.secrets.iter().find(|secret| text.contains(&***secret))
        {
            seen.first = Some(format!("{what} shows the password {secret:?}: {text}"));
        }
    }

    fn show(&self, what: &str, shown: &dyn Debug) {
        self.text(what, &format!("{shown:?} {shown:#?}"));
    }

    fn client(&self, what: &str, client: &Arc<dyn Broker>) {
        self.show(what, client);
        self.text(&format!("the address of {what}"), &client.address());
        let options = client.options();
        self.show(&format!("what is set of {what}"), &options);
        self.text(&format!("the address that is set of {what}"), &options.address.to_string());
    }

    fn error<T>(&self, what: &str, result: Result<T, Error>) {
        let Err(error) = result else { return };
        self.text(what, &format!("{error} {error:?} {error:#?}"));
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            self.text(&format!("the cause of what {what} says"), &format!("{error} {error:?}"));
            cause = error.source();
        }
    }

    fn saw_nothing(&self) -> Result<(), Failed> {
        match self.lock().first.take() {
            Some(found) => Err(Failed::new(found)),
            None => Ok(()),
        }
    }

    fn heard(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields)) {
        let mut fields = Fields::default();
        record(&mut fields);
        self.lock().heard += 1;
        self.text(&format!("a line of the log of {}", metadata.target()), &fields.0);
    }
}

impl Subscriber for Eye {
    /// Asked each time: it opens and closes.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.heard(span.metadata(), |fields| span.record(fields));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        self.text("a field of a span", &fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.heard(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The fields of a line or a span, as text.
#[derive(Debug, Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}
