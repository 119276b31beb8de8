//! How much a server takes on.

use std::time::Duration;

use micro_core::Result;
use micro_rpc::ServerOptions;

use super::{Layers, duration};

/// The limits of a server; unset is none.
#[derive(Debug)]
pub(crate) struct Load {
    max_in_flight: Option<usize>,
    endpoint_max_in_flight: Option<usize>,
    shed: Option<Duration>,
}

impl Load {
    pub(super) fn read(layers: &Layers) -> Result<Self> {
        let count = |name| {
            layers.read(name, "a number of 1 or more, as 100", |text| text.parse().ok().filter(|count| *count > 0))
        };
        Ok(Self {
            max_in_flight: count("server_max_in_flight")?,
            endpoint_max_in_flight: count("server_endpoint_max_in_flight")?,
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
        match self.shed {
            Some(wait) => options.shed(wait),
            None => options,
        }
    }
}
