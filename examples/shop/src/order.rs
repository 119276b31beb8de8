//! The order service.

use micro::ServiceBuilder;
use micro::broker::Start;
use micro::prelude::*;

use crate::book::Book;
use crate::names::{self, named};
use crate::proto::{Order, OrderCreated, OrderShipped, Orders, OrdersServer, PlaceRequest, StatusRequest};
use crate::{ORDER_CREATED, ORDER_SERVICE, ORDER_SHIPPED};

/// Runs it until a signal.
///
/// # Errors
///
/// What the service's start and stop return.
pub async fn run() -> Result<()> {
    service(Service::builder(ORDER_SERVICE))?.run().await
}

/// Makes it, in the surroundings that the builder names.
///
/// # Errors
///
/// A setting that cannot be.
pub fn service(builder: ServiceBuilder) -> Result<Service> {
    let mut service = builder.flag(names::flag()).build()?;
    let (created_topic, shipped_topic) = (named(&service, ORDER_CREATED), named(&service, ORDER_SHIPPED));
    let book = Book::default();

    service.handle(OrdersServer::new(OrderService { book: book.clone(), created: service.event(&created_topic) }));

    // The topics are the memory of this service: it reads them from the beginning each time it starts, so that one that
    // was killed knows everything again.
    let created = book.clone();
    service.subscribe(
        subscriber(created_topic, move |_: Context, order: OrderCreated| {
            let book = created.clone();
            async move {
                book.created(order);
                Ok(())
            }
        })
        .start(Start::Earliest),
    );
    service.subscribe(
        subscriber(shipped_topic, move |_: Context, order: OrderShipped| {
            let book = book.clone();
            async move {
                book.shipped(order);
                Ok(())
            }
        })
        .start(Start::Earliest),
    );
    Ok(service)
}

struct OrderService {
    book: Book,
    created: Event<OrderCreated>,
}

impl Orders for OrderService {
    async fn place(&self, _: Context, request: PlaceRequest) -> Result<Order> {
        if request.item.is_empty() || request.quantity == 0 {
            return Err(Error::bad_request(ORDER_SERVICE, "an order names an item and how many of it, at least one"));
        }
        let order = OrderCreated {
            id: format!("{:010x}", fastrand::u64(..1 << 40)),
            item: request.item,
            quantity: request.quantity,
        };
        // When this returns, the event is on disk. Only then the customer hears of it.
        self.created.publish(&order).key(order.id.clone()).await?;
        println!("[order]     took {}: {} × {}", order.id, order.quantity, order.item);
        Ok(self.book.created(order))
    }

    async fn status(&self, _: Context, request: StatusRequest) -> Result<Order> {
        self.book
            .find(&request.id)
            .ok_or_else(|| Error::not_found(ORDER_SERVICE, format!("there is no order {:?}", request.id)))
    }
}
