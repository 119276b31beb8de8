//! A slow consumer is told of, once, and that it has caught up.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::Context;
use micro_event::subscriber;
use tokio::sync::Semaphore;

use crate::support::{LIMIT, Order, Seen, memory, topic};

const LEASE: Duration = Duration::from_secs(30);

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_told_of_once_and_that_it_has_caught_up() {
    let log = Log::default();
    let writer = log.clone();
    let listener = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _listening = tracing::subscriber::set_default(listener);
    let (events, topic, seen) = (memory().await, topic(), Seen::new());
    let open = Arc::new(Semaphore::new(0));
    let handler = {
        let (seen, open) = (seen.clone(), open.clone());
        move |_: Context, order: Order| {
            let (seen, open) = (seen.clone(), open.clone());
            async move {
                open.acquire().await.unwrap().forget();
                seen.push(order.number);
                Ok(())
            }
        }
    };
    let slow = subscriber(&topic, handler).queue("slow").in_flight(4).lease(LEASE).time_limit(LEASE * 20);
    let live = events.subscribe(slow).await.unwrap();

    // It keeps up, though its hands are full each time: all that it may have is taken again and again.
    for number in 0..40 {
        events.event(&topic).publish(&Order::new("", number)).await.unwrap();
    }
    open.add_permits(36);
    tokio::time::sleep(LEASE / 2).await;
    assert_eq!(seen.wait(36).await.len(), 36);
    assert_eq!(log.count("a slow consumer"), 0, "it has taken much since the last look");
    tokio::time::sleep(LEASE / 2).await;
    assert_eq!(log.count("a slow consumer"), 1, "it has its hands full, and took nothing");
    tokio::time::sleep(LEASE * 3).await;
    assert_eq!(log.count("a slow consumer"), 1, "it is told once");
    assert_eq!(log.count("caught up"), 0);

    open.add_permits(4);
    assert_eq!(seen.wait(40).await.len(), 40);
    tokio::time::sleep(LEASE).await;
    assert_eq!(log.count("caught up"), 1);
    assert_eq!(log.count("a slow consumer"), 1);
    live.stop(LIMIT).await.unwrap();
}
