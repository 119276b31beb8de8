//! What a customer of the order service sees.

use micro::{Kind, Result};
use shop::proto::{OrderCreated, State};
use shop::{ORDER_CREATED, ORDER_SERVICE, order};

use crate::Shop;

#[tokio::test]
async fn an_order_that_was_placed_is_published_under_its_id() -> Result<()> {
    let shop = Shop::open().await?;
    let order = shop.place("teapot", 2).await?;
    assert_eq!(order.state(), State::Created);
    let created = shop.kit.published::<OrderCreated>(ORDER_CREATED).key(order.id.clone()).expect(1).await?;
    assert_eq!(created, [OrderCreated { id: order.id, item: "teapot".into(), quantity: 2 }]);
    Ok(())
}

#[tokio::test]
async fn an_order_of_nothing_is_refused_and_nobody_hears_of_it() -> Result<()> {
    let shop = Shop::open().await?;
    for (item, quantity) in [("", 1), ("teapot", 0)] {
        let error = shop.place(item, quantity).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.to_string().contains("an order names an item and how many of it"), "{error}");
    }
    shop.kit.published::<OrderCreated>(ORDER_CREATED).none().await
}

#[tokio::test]
async fn an_order_that_the_broker_does_not_take_is_an_error_and_not_half_an_order() -> Result<()> {
    let shop = Shop::open().await?;
    shop.kit.fail_next(ORDER_CREATED, 1)?;
    let error = shop.place("teapot", 1).await.unwrap_err();
    assert_eq!(error.code(), 503, "{error}");
    shop.kit.published::<OrderCreated>(ORDER_CREATED).none().await
}

#[tokio::test]
async fn an_order_service_that_crashed_knows_everything_again() -> Result<()> {
    let shop = Shop::open().await?;
    shop.warehouse().await?;
    let order = shop.place("teapot", 1).await?;
    shop.kit.advance(shop::warehouse::PACKING * 2).await?;
    shop.kit.idle().await?;
    let before = shop.status(&order).await?;
    assert_eq!(before.state(), State::Shipped);

    shop.orders.crash().await?;
    let error = shop.status(&order).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NoNode);
    // It reads the topics from their beginning.
    shop.kit.start(order::service(shop.kit.builder(ORDER_SERVICE))?).await?;
    shop.kit.idle().await?;
    assert_eq!(shop.status(&order).await?, before);
    Ok(())
}
