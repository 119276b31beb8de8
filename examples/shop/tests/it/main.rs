//! The shop's services, as they are in production, in one process and without a server; see docs/testing.md.

mod orders;
mod parcels;

use micro_testkit::{Started, TestKit};
use shop::proto::{Order, OrdersClient, PlaceRequest, StatusRequest};
use shop::{ORDER_SERVICE, WAREHOUSE, order, warehouse};

/// The order service in its kit, and a customer.
struct Shop {
    kit: TestKit,
    orders: Started,
    customer: OrdersClient,
}

impl Shop {
    async fn open() -> micro::Result<Self> {
        let kit = TestKit::new();
        let orders = kit.start(order::service(kit.builder(ORDER_SERVICE))?).await?;
        let customer = OrdersClient::new(ORDER_SERVICE, &kit.client());
        Ok(Self { kit, orders, customer })
    }

    async fn warehouse(&self) -> micro::Result<Started> {
        self.kit.start(warehouse::service(self.kit.builder(WAREHOUSE))?).await
    }

    async fn place(&self, item: &str, quantity: u32) -> micro::Result<Order> {
        self.customer.place(&PlaceRequest { item: item.to_owned(), quantity }).await
    }

    async fn status(&self, order: &Order) -> micro::Result<Order> {
        self.customer.status(&StatusRequest { id: order.id.clone() }).await
    }
}
