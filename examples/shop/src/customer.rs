//! A customer at the command line: a client without a server.

use micro::prelude::*;

use shop::ORDER_SERVICE;
use shop::proto::{Order, OrdersClient, PlaceRequest, State, StatusRequest};

/// `shop place ITEM [COUNT]`
pub(crate) async fn place() -> Result<()> {
    let service = Service::new("shop.customer")?;
    let words = service.args();
    let item = words.get(1).cloned().ok_or_else(|| usage("shop place ITEM [COUNT]"))?;
    let quantity = match words.get(2) {
        Some(count) => count.parse().map_err(|_| usage("shop place ITEM [COUNT], COUNT a number"))?,
        None => 1,
    };
    let orders = OrdersClient::new(ORDER_SERVICE, &service.client());
    let order = orders.place(&PlaceRequest { item, quantity }).await?;
    println!("{}", describe(&order));
    println!("Ask again with: shop status {}", order.id);
    Ok(())
}

/// `shop status ORDER`
pub(crate) async fn status() -> Result<()> {
    let service = Service::new("shop.customer")?;
    let id = service.args().get(1).cloned().ok_or_else(|| usage("shop status ORDER"))?;
    let orders = OrdersClient::new(ORDER_SERVICE, &service.client());
    println!("{}", describe(&orders.status(&StatusRequest { id }).await?));
    Ok(())
}

pub(crate) fn describe(order: &Order) -> String {
    let state = match order.state() {
        State::Shipped => format!("shipped as {}", order.parcel),
        _ => "waits for the warehouse".to_owned(),
    };
    format!("order {}: {} × {}, {state}", order.id, order.quantity, order.item)
}

fn usage(usage: &str) -> Error {
    Error::new(Kind::InvalidArgument, format!("usage: {usage}"))
}
