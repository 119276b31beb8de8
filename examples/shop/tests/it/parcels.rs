//! What becomes of an order behind the counter.

use std::time::Duration;

use micro::Result;
use micro::broker::Reason;
use micro_testkit::Outcome;
use shop::proto::{OrderCreated, OrderShipped, State};
use shop::warehouse::PACKING;
use shop::{ORDER_CREATED, ORDER_SHIPPED};

use crate::Shop;

#[tokio::test]
async fn an_order_that_was_placed_is_shipped() -> Result<()> {
    let shop = Shop::open().await?;
    shop.warehouse().await?;
    let order = shop.place("teapot", 2).await?;
    shop.kit.advance(PACKING * 2).await?;
    let shipped = shop.kit.published::<OrderShipped>(ORDER_SHIPPED).expect(1).await?;
    assert_eq!(shipped, [OrderShipped { id: order.id.clone(), parcel: format!("parcel-{}", order.id) }]);
    shop.kit.delivery(ORDER_CREATED).queue("warehouse").acknowledged().await?;
    shop.kit.idle().await?;
    let status = shop.status(&order).await?;
    assert_eq!((status.state(), status.parcel), (State::Shipped, shipped[0].parcel.clone()));
    Ok(())
}

#[tokio::test]
async fn an_order_waits_for_a_warehouse() -> Result<()> {
    let shop = Shop::open().await?;
    let order = shop.place("teapot", 1).await?;
    shop.kit.published::<OrderShipped>(ORDER_SHIPPED).none().await?;
    assert_eq!(shop.status(&order).await?.state(), State::Created);
    shop.warehouse().await?;
    shop.kit.published::<OrderShipped>(ORDER_SHIPPED).expect(1).await?;
    Ok(())
}

#[tokio::test]
async fn a_warehouse_that_fails_tries_again() -> Result<()> {
    let shop = Shop::open().await?;
    shop.warehouse().await?;
    shop.kit.fail_next(ORDER_SHIPPED, 2)?;
    shop.place("teapot", 1).await?;
    shop.kit.advance(Duration::from_secs(5)).await?;
    let story = shop.kit.delivery(ORDER_CREATED).queue("warehouse").acknowledged().await?;
    assert_eq!((story.deliveries, story.failures.len()), (3, 2), "{story}");
    shop.kit.published::<OrderShipped>(ORDER_SHIPPED).expect(1).await?;
    Ok(())
}

#[tokio::test]
async fn a_warehouse_that_keeps_failing_gives_the_order_to_the_dead_letters() -> Result<()> {
    let shop = Shop::open().await?;
    shop.warehouse().await?;
    shop.kit.fail_next(ORDER_SHIPPED, 5)?;
    let order = shop.place("teapot", 1).await?;
    shop.kit.advance(Duration::from_secs(60)).await?;
    let story = shop.kit.delivery(ORDER_CREATED).queue("warehouse").dead_lettered(Reason::Failed).await?;
    assert_eq!(story.failures.len(), 5, "{story}");
    let letters = shop.kit.published::<OrderCreated>(format!("{ORDER_CREATED}.dead")).expect(1).await?;
    assert_eq!(letters[0].id, order.id);
    shop.kit.published::<OrderShipped>(ORDER_SHIPPED).none().await?;
    assert_eq!(shop.status(&order).await?.state(), State::Created);
    Ok(())
}

#[tokio::test]
async fn a_warehouse_that_crashes_while_packing_loses_no_order_and_ships_none_twice() -> Result<()> {
    let shop = Shop::open().await?;
    let warehouse = shop.warehouse().await?;
    let order = shop.place("teapot", 1).await?;
    shop.kit.advance(PACKING / 4).await?;
    let in_hand = shop.kit.delivery(ORDER_CREATED).queue("warehouse").stories();
    assert_eq!(in_hand[0].outcome, Outcome::InHand);
    warehouse.crash().await?;

    shop.warehouse().await?;
    shop.kit.advance(PACKING * 2).await?;
    let story = shop.kit.delivery(ORDER_CREATED).queue("warehouse").acknowledged().await?;
    assert_eq!((story.deliveries, story.failures.len()), (2, 0), "{story}");
    shop.kit.idle().await?;
    let shipped = shop.kit.published::<OrderShipped>(ORDER_SHIPPED).expect(1).await?;
    assert_eq!(shipped[0].id, order.id);
    Ok(())
}

#[tokio::test]
async fn an_order_that_is_heard_of_twice_is_one_parcel() -> Result<()> {
    let shop = Shop::open().await?;
    shop.warehouse().await?;
    let order = shop.place("teapot", 1).await?;
    // Its publisher did not hear of the receipt and sent it again.
    let again = OrderCreated { id: order.id.clone(), item: order.item.clone(), quantity: order.quantity };
    shop.kit.publish(ORDER_CREATED, &again).key(order.id.clone()).await?;
    shop.kit.advance(PACKING * 4).await?;
    let shipped = shop.kit.published::<OrderShipped>(ORDER_SHIPPED).expect(2).await?;
    assert_eq!(shipped[0], shipped[1], "the same parcel");
    shop.kit.idle().await?;
    assert_eq!(shop.status(&order).await?.parcel, shipped[0].parcel);
    Ok(())
}
