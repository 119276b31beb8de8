use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use micro_core::{Context, Error, Kind, Result};
use micro_rpc::{Receiver, Sender};

use crate::proto::{CountRequest, CountResponse, Greeter, Number, Request, Response, Total};

/// Does what the Go peer's greeter does, name for name.
#[derive(Debug, Clone)]
pub struct RustGreeter {
    service: Arc<str>,
    running: Arc<AtomicUsize>,
}

/// Counts a handler for as long as it runs.
struct Running(Arc<AtomicUsize>);

impl RustGreeter {
    /// Creates one that signs its errors with this service name.
    #[must_use]
    pub fn new(service: &str) -> Self {
        Self { service: service.into(), running: Arc::default() }
    }

    /// Returns how many handlers run: one whose caller went away must not go on.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    fn run(&self) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(&self.running))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Greeter for RustGreeter {
    async fn greet(&self, context: Context, request: Request) -> Result<Response> {
        let _running = self.run();
        match request.name.as_str() {
            "not-found" => return Err(Error::not_found(&*self.service, "no such é%")),
            "conflict" => return Err(Error::conflict(&*self.service, "<exists> & stays")),
            "too-many" => return Err(Error::new(Kind::ResourceExhausted, "slow down").id(&*self.service)),
            "plain" => return Err(Error::new(Kind::Unknown, "plain error")),
            "panic" => panic!("boom"),
            _ => {}
        }
        let response = describe(&context, &request);
        tokio::time::sleep(Duration::from_millis(request.sleep_millis.try_into().unwrap_or(0))).await;
        Ok(response)
    }

    async fn count(&self, _: Context, request: CountRequest, responses: Sender<CountResponse>) -> Result<()> {
        let _running = self.run();
        for value in 1..=request.count {
            responses.send(CountResponse { value }).await?;
        }
        match request.error.is_empty() {
            true => Ok(()),
            false => Err(Error::not_found(&*self.service, request.error)),
        }
    }

    async fn sum(&self, _: Context, mut requests: Receiver<Number>) -> Result<Total> {
        let _running = self.run();
        let mut total = Total::default();
        while let Some(number) = requests.recv().await? {
            total.sum += number.value;
            total.count += 1;
        }
        Ok(total)
    }

    async fn chat(&self, context: Context, mut requests: Receiver<Request>, responses: Sender<Response>) -> Result<()> {
        let _running = self.run();
        while let Some(request) = requests.recv().await? {
            if request.name == "not-found" {
                return Err(Error::not_found(&*self.service, "the chat is over"));
            }
            responses.send(describe(&context, &request)).await?;
        }
        Ok(())
    }
}

fn describe(context: &Context, request: &Request) -> Response {
    Response {
        msg: format!("Hello {}", request.name),
        seen_metadata: context
            .metadata()
            .iter()
            .map(|(name, value)| {
                (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned())
            })
            .collect(),
        remaining_millis: context
            .remaining()
            .map_or(-1, |remaining| i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX)),
        big_number: u64::MAX,
    }
}
