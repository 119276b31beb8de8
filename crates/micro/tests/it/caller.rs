//! A program that calls another service all the time, and says how that went when it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use micro::Client;
use micro::prelude::*;
use tokio::task::JoinSet;

use crate::process::Program;
use crate::support::{LIMIT, unique, until};

/// A call begins this often: few enough that a process at work is told from one that spins.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Tally {
    done: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

/// Has a program's service call another one from now on.
pub(crate) fn call_always(service: &mut Service, other: String) {
    let (client, tally) = (service.client(), Arc::<Tally>::default());
    tokio::spawn(calls(client.clone(), other.clone(), Arc::clone(&tally)));
    service.handle(Endpoint::unary("Caller.Tally", move |_: Context, _: Bytes| {
        let (done, failed) = (tally.done.load(Ordering::SeqCst), tally.failed.lock().unwrap().join("\n"));
        async move { Ok(Bytes::from(format!("{done}\n{failed}"))) }
    }));
    service.handle(Endpoint::unary("Caller.Wait", move |_: Context, millis: Bytes| {
        let (client, other) = (client.clone(), other.clone());
        async move {
            let limit = Duration::from_millis(String::from_utf8_lossy(&millis).parse().unwrap());
            let began = Instant::now();
            let call = client.call::<Bytes, Bytes>(&other, "Echo.Hang", &millis).timeout(limit).await;
            let kind = call.map_or_else(|error| format!("{:?}", error.kind()), |_| "answered".to_owned());
            Ok(Bytes::from(format!("{kind} {}", began.elapsed().as_millis())))
        }
    }));
}

async fn calls(client: Client, other: String, tally: Arc<Tally>) {
    let (mut ticks, mut under_way) = (tokio::time::interval(PAUSE), JoinSet::new());
    loop {
        ticks.tick().await;
        while under_way.try_join_next().is_some() {}
        let (client, other, tally) = (client.clone(), other.clone(), Arc::clone(&tally));
        under_way.spawn(async move {
            if let Err(error) = client.call::<Bytes, Bytes>(&other, "Echo.Nap", &Bytes::new()).await {
                tally.failed.lock().unwrap().push(error.to_string());
            }
            tally.done.fetch_add(1, Ordering::SeqCst);
        });
    }
}

/// Such a program, and a client that asks it.
pub(crate) struct Caller {
    name: String,
    client: Client,
    pub(crate) program: Program,
}

impl Caller {
    /// Starts one that calls this service, and waits until it is found.
    pub(crate) async fn start(client: &Client, other: &str, settings: &[(&str, &str)]) -> Self {
        let name = unique("caller");
        let mut program = Program::start(&name, &[settings, &[("MICRO_TEST_CALLS", other)]].concat());
        program.line("Registering node").await;
        let caller = Self { name, client: client.clone(), program };
        until("the caller is found", async || {
            client.call::<Bytes, Bytes>(&caller.name, "Caller.Tally", &Bytes::new()).await.is_ok()
        })
        .await;
        caller
    }

    /// How many of its calls have ended, and the errors of those that failed.
    pub(crate) async fn tally(&self) -> (usize, Vec<String>) {
        let text = ask(self.client.clone(), self.name.clone(), "Caller.Tally", String::new()).await;
        let mut lines = text.lines();
        let done = lines.next().unwrap().parse().unwrap();
        (done, lines.map(str::to_owned).collect())
    }

    /// Has it call an endpoint that never answers, with this limit. Tells what came of it, and after what time.
    pub(crate) fn wait(&self, limit: Duration) -> impl Future<Output = (String, Duration)> + Send + use<> {
        let asked = ask(self.client.clone(), self.name.clone(), "Caller.Wait", limit.as_millis().to_string());
        async {
            let text = asked.await;
            let (kind, millis) = text.split_once(' ').unwrap();
            (kind.to_owned(), Duration::from_millis(millis.parse().unwrap()))
        }
    }
}

async fn ask(client: Client, name: String, endpoint: &'static str, body: String) -> String {
    let answer = client.call::<Bytes, Bytes>(&name, endpoint, &Bytes::from(body)).timeout(LIMIT).await;
    String::from_utf8(answer.unwrap().to_vec()).unwrap()
}
