//! The main job: both services, some orders, two murders, nothing lost.

use std::time::Duration;

use micro::prelude::*;

use crate::child::{Child, Stage};
use crate::customer::describe;
use crate::patience::patiently;
use shop::proto::{Order, OrdersClient, PlaceRequest, State, StatusRequest};
use shop::{ORDER_SERVICE, names, proto};

/// A slow machine may take its time; a stuck one is told.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs it, in a folder that is gone afterwards, and with topics that no other run has.
pub(crate) async fn run() -> Result<()> {
    let home = tempfile::tempdir().map_err(|error| {
        Error::new(Kind::Internal, "cannot make a folder for the demo; is TMPDIR full?").source(error)
    })?;
    // Flags are the strongest word: what the environment says about the real ~/.micro does not count here.
    let own = ["--home", &home.path().to_string_lossy(), "--registry", "embedded"].map(str::to_owned);
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let service = Service::builder("shop.customer").flag(names::flag()).args([&flags[..], &own].concat()).build()?;
    if let Some(word) = service.args().first() {
        return Err(Error::new(
            Kind::InvalidArgument,
            format!("a command comes before the flags, as: shop {word} --flag value"),
        ));
    }
    let stage = Stage { home, flags, run: names::fresh_run() };
    let shop = Shop { orders: OrdersClient::new(ORDER_SERVICE, &service.client()) };

    say("Starting the order service and the warehouse, each a process of its own.");
    let order_service = Child::start("order", &stage)?;
    let warehouse = Child::start("warehouse", &stage)?;

    let mut placed = Vec::new();
    for (item, quantity) in [("teapot", 1), ("cup", 6), ("spoon", 6)] {
        placed.push(shop.place(item, quantity).await?);
    }
    shop.wait_until_shipped(placed.iter()).await?;
    say("Three orders were placed by call, packed on the event, and shipped:");
    shop.show(&placed).await?;

    say("Five more; the warehouse is killed (SIGKILL) in the middle.");
    for item in ["lamp", "chair", "table", "carpet"] {
        placed.push(shop.place(item, 1).await?);
    }
    shop.wait_until_shipped(placed.iter().skip(3).take(1)).await?;
    warehouse.kill().await?;
    placed.push(shop.place("mirror", 1).await?);
    let waiting = shop.waiting(&placed).await?;
    say(&format!("The warehouse is dead, orders are still taken, {waiting} wait:"));
    shop.show(&placed).await?;

    say("A new warehouse starts. What the old one had in its hands comes again.");
    let warehouse = Child::start("warehouse", &stage)?;
    shop.wait_until_shipped(placed.iter()).await?;

    say("Now the order service is killed, and started anew: it reads its memory from the topics.");
    order_service.kill().await?;
    let order_service = Child::start("order", &stage)?;
    shop.wait_until_shipped(placed.iter()).await?;
    shop.show(&placed).await?;

    order_service.stop().await?;
    warehouse.stop().await?;
    say(&format!("{} orders placed, {} shipped, none lost. Both services stopped.", placed.len(), placed.len()));
    println!("{NEXT}");
    Ok(())
}

const NEXT: &str = "
What next: the same by hand, one terminal each.
  cargo run --release -p shop -- order
  cargo run --release -p shop -- warehouse      (as many as you like: they share the orders)
  cargo run --release -p shop -- place teapot 2
  cargo run --release -p shop -- status ORDER
Then read examples/shop/src/warehouse.rs: it is short.";

fn say(text: &str) {
    println!("\n== {text}");
}

struct Shop {
    orders: OrdersClient,
}

impl Shop {
    /// Places an order. The service may be starting: what surely was not done is tried again.
    async fn place(&self, item: &str, quantity: u32) -> Result<String> {
        let request = PlaceRequest { item: item.to_owned(), quantity };
        let order = patiently(LIMIT, async || match self.orders.place(&request).await {
            Err(error) if !matches!(error.kind(), Kind::NoNode | Kind::Refused) => Ok(Err(error)),
            result => result.map(Ok),
        })
        .await??;
        Ok(order.id)
    }

    async fn status(&self, id: &str) -> Result<Order> {
        // A service that has just started may not have read this order yet.
        patiently(LIMIT, async || self.orders.status(&StatusRequest { id: id.to_owned() }).await).await
    }

    async fn wait_until_shipped(&self, ids: impl Iterator<Item = &String>) -> Result<()> {
        for id in ids {
            patiently(LIMIT, async || match self.status(id).await? {
                order if order.state() == State::Shipped => Ok(()),
                order => Err(Error::new(Kind::Timeout, format!("not shipped within {LIMIT:?}: {}", describe(&order)))),
            })
            .await?;
        }
        Ok(())
    }

    async fn waiting(&self, ids: &[String]) -> Result<usize> {
        let mut waiting = 0;
        for id in ids {
            waiting += usize::from(self.status(id).await?.state() == proto::State::Created);
        }
        Ok(waiting)
    }

    async fn show(&self, ids: &[String]) -> Result<()> {
        for id in ids {
            println!("   {}", describe(&self.status(id).await?));
        }
        Ok(())
    }
}
