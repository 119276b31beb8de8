//! What the client does against trouble.

use std::time::Duration;

use micro_core::Result;
use micro_rpc::ClientBuilder;
use micro_rpc::resilience::{Breaker, Budget, Concurrency, Hedge, Rate};

use super::{Layers, duration};

/// The settings that differ from the client's own.
#[derive(Debug)]
pub(crate) struct Policy {
    /// The share of the calls; `None` is without a limit.
    budget: Option<f64>,
    hedge: Option<Duration>,
    breaker: bool,
    concurrency: Option<usize>,
    rate: Option<f64>,
}

impl Policy {
    pub(super) fn read(layers: &Layers) -> Result<Self> {
        let budget = layers.read("client_retry_budget", "a share of the calls, as 10%, or off", share)?;
        let hedge = layers.read("client_hedge", "a duration, as 50ms, or off", |text| off_or(text, duration::parse))?;
        let breaker = layers.read("client_breaker", "on or off", super::switch)?;
        let at_once = |text: &str| text.parse().ok().filter(|count: &usize| (1..=1_000_000).contains(count));
        let a_second = |text: &str| text.parse().ok().filter(|rate: &f64| (0.001..=1e9).contains(rate));
        Ok(Self {
            budget: budget.unwrap_or(Some(0.1)),
            hedge: hedge.flatten(),
            breaker: breaker.unwrap_or(false),
            concurrency: layers
                .read("client_concurrency", "a number from 1 to 1000000, or off", |text| off_or(text, at_once))?
                .flatten(),
            rate: layers
                .read("client_rate", "calls a second, as 500, or off", |text| off_or(text, a_second))?
                .flatten(),
        })
    }

    pub(crate) fn apply(&self, client: ClientBuilder) -> ClientBuilder {
        client
            .retry_budget(self.budget.map(Budget::new))
            .hedge(self.hedge.map(Hedge::after))
            .breaker(self.breaker.then(Breaker::new))
            .concurrency(self.concurrency.map(Concurrency::new))
            .rate(self.rate.map(Rate::per_second))
    }
}

/// Reads `off` as nothing.
fn off_or<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "off" { Some(None) } else { read(text).map(Some) }
}

/// Reads `10%`.
fn share(text: &str) -> Option<Option<f64>> {
    off_or(text, |text| {
        let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
        (0.0..=1_000.0).contains(&percent).then_some(percent / 100.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_or_off() {
        assert_eq!(share("10%"), Some(Some(0.1)));
        assert_eq!(share("off"), Some(None));
        for wrong in ["10", "%", "-1%", "NaN%", "on", ""] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
    }
}
