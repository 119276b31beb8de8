//! A service as production would have it: orders come by call, are published, packed on the event, and shipped.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro::event::{RetryPolicy, reject};
use micro::prelude::*;
use micro::{Error, Kind, ServiceBuilder};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Payload)]
pub(crate) struct Order {
    pub(crate) id: String,
}

impl Order {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

/// Takes orders.
pub(crate) fn orders(builder: ServiceBuilder) -> Result<Service> {
    let mut service = builder.build()?;
    let created = service.event::<Order>("orders.created");
    service.handle(Endpoint::unary("Orders.Place", move |_, order: Order| {
        let created = created.clone();
        async move {
            created.publish(&order).key(order.id.clone()).await?;
            Ok(order)
        }
    }));
    Ok(service)
}

/// What the warehouse's handler depends on: which orders have no tape, and how often it tried.
#[derive(Clone, Default)]
pub(crate) struct Tape(Arc<Mutex<(u32, u32)>>);

impl Tape {
    /// There is none for so many parcels.
    pub(crate) fn missing(parcels: u32) -> Self {
        Self(Arc::new(Mutex::new((parcels, 0))))
    }

    pub(crate) fn tried(&self) -> u32 {
        self.0.lock().unwrap().1
    }

    fn take(&self) -> Result<()> {
        let mut tape = self.0.lock().unwrap();
        tape.1 += 1;
        if tape.0 == 0 {
            return Ok(());
        }
        tape.0 -= 1;
        Err(Error::new(Kind::Unavailable, "no tape"))
    }
}

pub(crate) const PAUSE: Duration = Duration::from_secs(10);

/// Ships orders, each once: three tries, 8 to 10 s and 16 to 20 s apart.
pub(crate) fn warehouse(builder: ServiceBuilder, tape: Tape) -> Result<Service> {
    let mut service = builder.build()?;
    let shipped = service.event::<Order>("orders.shipped");
    let known = Arc::new(Mutex::new(HashSet::new()));
    let ship = move |_: Context, order: Order| {
        let (shipped, known, tape) = (shipped.clone(), Arc::clone(&known), tape.clone());
        async move {
            if order.id.is_empty() {
                return Err(reject(Error::bad_request("warehouse", "an order without an id")));
            }
            tape.take()?;
            if !known.lock().unwrap().insert(order.id.clone()) {
                return Ok(());
            }
            shipped.publish(&order).key(order.id.clone()).await?;
            Ok(())
        }
    };
    let retry = RetryPolicy::new().attempts(3).pauses(PAUSE, PAUSE * 10);
    service.subscribe(subscriber("orders.created", ship).queue("warehouse").retry(retry));
    Ok(service)
}

/// Checks that a text has all of these in it.
#[track_caller]
pub(crate) fn has(text: impl ToString, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}
