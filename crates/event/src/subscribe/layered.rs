//! Middleware round a handler of events. It is put there once, when the subscription is made.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use micro_core::broker::Reason;
use micro_core::middleware::{Body, Next, Request, Response, Rest, Shape, Side};
use micro_core::{Context, Result};

use super::batch::{Answers, BatchHandler, Shared};
use super::handler::{CallPlace, Handler, Place};
use super::subscriber::Work;
use crate::decode;
use crate::failure::Failure;
use crate::run::Job;

/// A handler with middleware round it.
struct Layered<H: ?Sized> {
    next: Next,
    service: Arc<str>,
    topic: Arc<str>,
    handler: Arc<H>,
}

impl Work {
    /// Puts middleware round the handler.
    pub(crate) fn layered(self, next: &Next, service: &Arc<str>, topic: &str) -> Self {
        let (next, service, topic) = (next.clone(), service.clone(), topic.into());
        match self {
            Self::Single(handler) => Self::Single(Arc::new(Layered { next, service, topic, handler })),
            Self::Batch(handler) => Self::Batch(Arc::new(Layered { next, service, topic, handler })),
        }
    }
}

/// What the handler left for the one who settles, past the middleware.
struct Left<T>(Arc<Mutex<Option<T>>>);

impl<T> Left<T> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn again(&self) -> Self {
        Self(self.0.clone())
    }

    fn put(&self, value: Option<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<H: ?Sized> Layered<H> {
    fn request(&self, shape: Shape, rest: Rest) -> Request {
        Request::new(Side::Event, shape, self.service.clone(), self.topic.clone(), rest)
    }
}

impl Handler for Layered<dyn Handler> {
    fn place(self: Arc<Self>) -> Box<dyn Place> {
        CallPlace::boxed(move |context: &Context, body: Bytes| {
            // That trying again is no use is not in the error.
            let permanent: Left<Reason> = Left::new();
            let (handler, left) = (self.handler.clone(), permanent.again());
            let rest: Rest = Arc::new(move |request| {
                let (handler, left) = (handler.clone(), left.again());
                Box::pin(async move {
                    let (context, body) = request.into_context();
                    let mut place = handler.place();
                    let run = async {
                        place.call(&context, body.message())?;
                        poll_fn(|task| place.poll(task)).await
                    };
                    let done = context.clone().scope(run).await.map_err(|failure| {
                        left.put(failure.permanent);
                        failure.error
                    });
                    done.map(|()| Response::empty())
                })
            });
            let format = decode::format_of(context.metadata());
            let request = self.request(Shape::One, rest).with_body(Body::from(body), format);
            let (next, context) = (self.next.clone(), context.clone());
            Ok(async move {
                next.run(context, request).await.map(drop).map_err(|error| {
                    let Failure { error, permanent: own } = Failure::from(error);
                    Failure { error, permanent: own.or_else(|| permanent.take()) }
                })
            })
        })
    }
}

impl BatchHandler for Layered<dyn BatchHandler> {
    fn handle<'a>(&'a self, context: Context, jobs: &'a [Job]) -> BoxFuture<'a, Answers> {
        self.run(context, jobs.iter().map(Shared::of).collect())
    }

    fn handle_shared(self: Arc<Self>, context: Context, messages: Arc<[Shared]>) -> BoxFuture<'static, Answers> {
        self.run(context, messages)
    }
}

impl Layered<dyn BatchHandler> {
    fn run(&self, context: Context, messages: Arc<[Shared]>) -> BoxFuture<'static, Answers> {
        let events = messages.len();
        let answers: Left<Answers> = Left::new();
        let (handler, left) = (self.handler.clone(), answers.again());
        let rest: Rest = Arc::new(move |request| {
            let (handler, messages, left) = (handler.clone(), messages.clone(), left.again());
            Box::pin(async move {
                let (context, _) = request.into_context();
                let answers = context.clone().scope(handler.handle_shared(context, messages)).await;
                let failed = all_failed(&answers);
                left.put(Some(answers));
                failed.map_or(Ok(Response::empty()), |failure| Err(failure.error))
            })
        });
        let (next, request) = (self.next.clone(), self.request(Shape::Batch, rest));
        Box::pin(async move {
            let outcome = next.run(context, request).await.map(drop);
            settle(outcome, answers.take(), events)
        })
    }
}

/// Returns a failure of a batch of which nothing went well.
fn all_failed(answers: &Answers) -> Option<Failure> {
    let mut failed = answers.iter().map(|answer| answer.as_ref().err());
    let first = failed.next()??;
    failed.all(|failure| failure.is_some()).then(|| first.duplicate())
}

/// Joins what the middleware says of a batch with what the handler said of each event. The middleware sees an error only
/// where all failed, and its word then counts for all; else its error does.
fn settle(outcome: Result<()>, answers: Option<Answers>, events: usize) -> Answers {
    let failed = answers.as_ref().is_some_and(|answers| all_failed(answers).is_some());
    match (outcome, answers) {
        (Ok(()), Some(answers)) if !failed => answers,
        (Ok(()), _) => (0..events).map(|_| Ok(())).collect(),
        (Err(_), Some(answers)) if failed => answers,
        (Err(error), _) => {
            let failure = Failure::from(error);
            (0..events).map(|_| Err(failure.duplicate())).collect()
        }
    }
}
