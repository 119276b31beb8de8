use micro_core::{Error, Kind, Result};

use super::{Running, Service};
use crate::signals::Signals;

/// Runs several services in one process: starts them in order, waits for a signal, stops them in the opposite order.
///
/// # Errors
///
/// The first failure; services that had started before it are stopped.
pub async fn run_all(services: impl IntoIterator<Item = Service>) -> Result<()> {
    let mut signals = Signals::new()
        .map_err(|error| Error::new(Kind::Internal, "cannot listen to SIGTERM, SIGINT and SIGQUIT").source(error))?;
    let mut running = Vec::new();
    let mut outcome = Ok(());
    for service in services {
        // A signal while a start hangs, as on a broker that does not answer, ends it.
        let started = tokio::select! {
            started = service.start() => started,
            name = signals.next() => {
                tracing::info!("Received signal {name} while starting");
                stop(running, &mut signals).await?;
                return Ok(());
            }
        };
        match started {
            Ok(service) => running.push(service),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    if outcome.is_ok() {
        let name = signals.next().await;
        tracing::debug!("Received signal {name}");
    }
    outcome.and(stop(running, &mut signals).await)
}

async fn stop(running: Vec<Running>, signals: &mut Signals) -> Result<()> {
    let all = async {
        let mut outcome = Ok(());
        for service in running.into_iter().rev() {
            let stopped = service.stop().await;
            outcome = outcome.and(stopped);
        }
        outcome
    };
    tokio::select! {
        stopped = all => stopped,
        name = signals.next() => Err(Error::new(
            Kind::Cancelled,
            format!("a second signal, {name}, ended the stop before its handlers were done; what they had not settled comes again"),
        )),
    }
}
