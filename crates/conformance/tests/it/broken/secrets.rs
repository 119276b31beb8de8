use std::sync::Arc;

use micro_core::broker::{Broker, Memory};
use micro_core::{Error, Kind, Result};

use super::front::Front;
use super::outage::sound_server;
use super::{Double, served};

fn away() -> Error {
    Error::new(Kind::Unavailable, "nobody listens at 127.0.0.1:1; start the server")
}

/// A client of nobody that shows this, and connects so.
fn shows(wrong: &'static str, shown: &'static str, connect: fn() -> Result<()>) -> Double {
    let nobody = move || {
        let front = Front { shown, connect: Arc::new(connect), ..Front::of(Memory::new()) };
        Arc::new(front) as Arc<dyn Broker>
    };
    served("B82", wrong, nobody, sound_server)
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        shows("shows it in Debug", "Front { user: \"shop\", password: \"secret\" }", || Err(away())),
        shows("shows it in an error", "Front", || Err(away().with("address", "front://shop:secret@127.0.0.1:1"))),
        shows("shows it in the cause of an error", "Front", || {
            Err(away().source(std::io::Error::other("login shop/secret failed")))
        }),
        shows("logs it", "Front", || {
            tracing::warn!(address = "front://shop:secret@127.0.0.1:1", "cannot connect");
            Err(away())
        }),
        shows("logs it in a text", "Front", || {
            tracing::debug!("cannot connect as {}:{}", "shop", "secret");
            Err(away())
        }),
        shows("shows it in a span", "Front", || {
            let _span = tracing::info_span!("connect", password = "secret").entered();
            Err(away())
        }),
        shows("shows it in a field that a span gets later", "Front", || {
            let span = tracing::info_span!("connect", account = tracing::field::Empty);
            span.record("account", "shop:secret");
            Err(away())
        }),
    ]
}
