//! How much a server takes on.

use std::collections::BTreeMap;
use std::time::Duration;

use micro_core::Result;
use micro_rpc::ServerOptions;

use super::{Layers, duration};

/// The limits of a server; unset is none.
#[derive(Debug)]
pub(crate) struct Load {
    max_in_flight: Option<usize>,
    endpoint_max_in_flight: Option<usize>,
    endpoint_limits: BTreeMap<String, usize>,
    shed: Option<Duration>,
}

impl Load {
    /// `limits` are those that the code gives endpoints; each is replaced by a stronger one of its name.
    pub(super) fn read(layers: &Layers, mut limits: BTreeMap<String, usize>) -> Result<Self> {
        let count = |name| layers.read(name, "a number of 1 or more, as 100", positive);
        let named = |text: &str| {
            let pairs = super::pairs(text)?.into_iter();
            pairs.map(|(endpoint, calls)| Some((endpoint, positive(&calls)?))).collect::<Option<Vec<_>>>()
        };
        let right = "endpoints and numbers of 1 or more, as Greeter.Greet=10,Orders.Place=2";
        limits.extend(layers.read("server_endpoint_limits", right, named)?.unwrap_or_default());
        Ok(Self {
            max_in_flight: count("server_max_in_flight")?,
            endpoint_max_in_flight: count("server_endpoint_max_in_flight")?,
            endpoint_limits: limits,
            shed: layers.read("server_shed", "a duration, as 50ms", duration::parse)?,
        })
    }

    /// Sets them.
    pub(crate) fn limit(&self, mut options: ServerOptions) -> ServerOptions {
        if let Some(count) = self.max_in_flight {
            options = options.max_in_flight(count);
        }
        if let Some(count) = self.endpoint_max_in_flight {
            options = options.endpoint_max_in_flight(count);
        }
        for (endpoint, calls) in &self.endpoint_limits {
            options = options.endpoint_limit(endpoint, *calls);
        }
        match self.shed {
            Some(wait) => options.shed(wait),
            None => options,
        }
    }
}

fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    // features: A2
    #[test]
    fn a_flag_replaces_the_limits_that_it_names_and_leaves_the_others_of_the_code() {
        let mut layers = Layers::default();
        layers.set("server_endpoint_limits", "A.Do=1, B.Do=2", Source::Flag);
        let code = BTreeMap::from([("B.Do".to_owned(), 20), ("C.Do".to_owned(), 30)]);
        let load = Load::read(&layers, code).unwrap();
        let expected = [("A.Do".to_owned(), 1), ("B.Do".to_owned(), 2), ("C.Do".to_owned(), 30)];
        assert_eq!(load.endpoint_limits, expected.into());
    }
}
