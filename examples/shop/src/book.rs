//! What the order service knows: put together from what was published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::proto::{Order, OrderCreated, OrderShipped, State};

/// The orders by id. Hearing the same event again changes nothing.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<HashMap<String, Entry>>>);

/// An order is shipped under two topics, and either may be heard first.
#[derive(Default)]
struct Entry {
    created: Option<OrderCreated>,
    parcel: Option<String>,
}

impl Book {
    pub(crate) fn created(&self, order: OrderCreated) -> Order {
        let mut book = self.lock();
        let entry = book.entry(order.id.clone()).or_default();
        let answer = answer(&order, entry.parcel.as_deref());
        entry.created = Some(order);
        answer
    }

    pub(crate) fn shipped(&self, order: OrderShipped) {
        self.lock().entry(order.id).or_default().parcel = Some(order.parcel);
    }

    pub(crate) fn find(&self, id: &str) -> Option<Order> {
        let book = self.lock();
        let entry = book.get(id)?;
        Some(answer(entry.created.as_ref()?, entry.parcel.as_deref()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(order: &OrderCreated, parcel: Option<&str>) -> Order {
    Order {
        id: order.id.clone(),
        item: order.item.clone(),
        quantity: order.quantity,
        state: if parcel.is_some() { State::Shipped } else { State::Created }.into(),
        parcel: parcel.unwrap_or_default().to_owned(),
    }
}
