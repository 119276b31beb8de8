use std::time::{Duration, Instant};

use micro_core::broker::Broker;

use crate::world::{LIMIT, address, broker_at, handle, member, queue, take, texts, topic, within};

#[tokio::test]
async fn a_metric_says_how_far_a_queue_is_behind() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("lag"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 10)).all()).await.unwrap();
    let said = async |lag: usize| {
        let line = format!("micro_kafka_lag{{topic=\"{topic}\",queue=\"{queue}\",partition=\"0\"}} {lag}");
        let began = Instant::now();
        while !shown.render().lines().any(|said| said == line) {
            assert!(began.elapsed() < LIMIT, "{line} is not in\n{}", shown.render());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert_eq!(handle(&mut *one, 3).await.len(), 3);
    let held = take(&mut *one, 7).await;
    said(7).await;
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    said(0).await;
    broker.disconnect().await.unwrap();
}
