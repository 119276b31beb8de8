//! The warehouse.

use std::time::Duration;

use micro::ServiceBuilder;
use micro::prelude::*;

use crate::names::{self, named};
use crate::proto::{OrderCreated, OrderShipped};
use crate::{ORDER_CREATED, ORDER_SHIPPED, WAREHOUSE};

/// How long it takes to pack a parcel.
pub const PACKING: Duration = Duration::from_millis(200);

/// On Kafka it takes this long until what a killed warehouse had is given to another; it is the least there.
const LEASE: Duration = Duration::from_secs(6);

/// Runs it until a signal.
///
/// # Errors
///
/// What the service's start and stop return.
pub async fn run() -> Result<()> {
    service(Service::builder(WAREHOUSE))?.run().await
}

/// Makes it, in the surroundings that the builder names.
///
/// # Errors
///
/// A setting that cannot be.
pub fn service(builder: ServiceBuilder) -> Result<Service> {
    let mut service = builder.flag(names::flag()).build()?;
    let shipped = service.event::<OrderShipped>(named(&service, ORDER_SHIPPED));
    service.subscribe(
        subscriber(named(&service, ORDER_CREATED), move |_: Context, order: OrderCreated| pack(shipped.clone(), order))
            // Warehouses share a queue: each order goes to one of them, and what was published while none ran is there.
            .queue(named(&service, "warehouse"))
            .lease(LEASE)
            .concurrency(2),
    );
    Ok(service)
}

/// Packs one order. The order is settled when this returns, not before: killed in the middle, it comes again.
async fn pack(shipped: Event<OrderShipped>, order: OrderCreated) -> Result<()> {
    println!("[warehouse] packing {}: {} × {}", order.id, order.quantity, order.item);
    tokio::time::sleep(PACKING).await;
    // The parcel's number follows from the order's, so that an order packed twice is still one parcel.
    let parcel = format!("parcel-{}", order.id);
    shipped.publish(&OrderShipped { id: order.id.clone(), parcel }).key(order.id.clone()).await?;
    println!("[warehouse] shipped {}", order.id);
    Ok(())
}
