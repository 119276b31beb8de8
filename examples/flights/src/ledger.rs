//! The process that sums the results.

use std::sync::{Arc, Mutex, PoisonError};

use micro::broker::Start;
use micro::prelude::*;

use crate::names::{self, named};
use crate::proto::{Ledger, LedgerServer, Leg, ReportRequest, ReportResponse};
use crate::sums::Sums;
use crate::{LEDGER, RESULTS};

/// Runs it until a signal.
pub(crate) async fn run() -> Result<()> {
    let mut service = Service::builder(LEDGER).flag(names::flag()).build()?;
    let sums = Arc::new(Mutex::new(Sums::default()));
    service.handle(LedgerServer::new(Answers(Arc::clone(&sums))));
    service.subscribe(
        subscriber(named(&service, RESULTS), move |_: Context, leg: Leg| {
            sums.lock().unwrap_or_else(PoisonError::into_inner).take(leg);
            async { Ok(()) }
        })
        // The sums are in memory only: whoever starts anew reads from the beginning.
        .start(Start::Earliest),
    );
    service.run().await
}

struct Answers(Arc<Mutex<Sums>>);

impl Ledger for Answers {
    async fn report(&self, _: Context, _: ReportRequest) -> Result<ReportResponse> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).report())
    }
}
