use micro_core::broker::{Delivery, Origin, Pattern, Settle, Settlement, SubscribeOptions, Topic};

use super::{Double, Tamper, tampered};
use crate::tamper::on_deliveries;

fn reads(change: fn(&str) -> String) -> Tamper {
    let changed = move |pattern: Pattern| Pattern::new(change(pattern.as_str())).unwrap();
    Tamper { pattern: Some(Box::new(changed)), ..Tamper::default() }
}

fn brings(only: fn(&Delivery) -> bool) -> Tamper {
    let some = move |deliveries: Vec<Delivery>| {
        let (some, mut others): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(only);
        for other in &mut others {
            drop(other.settler().settle(vec![Settlement::new(other.token(), Settle::Ack, 0)]));
            other.disarm();
        }
        some
    };
    Tamper { deliver: Some(Box::new(some)), ..Tamper::default() }
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B09", "takes one token for all that follow", || {
            reads(|pattern| pattern.replace(".*", ".>").replace(".>.x", ".*.x"))
        }),
        tampered("B09", "takes all that follow for one token", || reads(|pattern| pattern.replace('>', "*"))),
        tampered("B09", "takes a name for all below it", || {
            reads(|pattern| if pattern.ends_with(".a") { pattern.replace(".a", ".*") } else { pattern.to_owned() })
        }),
        // The case makes these after it has subscribed.
        tampered("B09", "forgets topics made later", || brings(|delivery| !delivery.topic().as_str().contains(".b"))),
        tampered("B09", "has a limit for each topic", || {
            let more = |options: SubscribeOptions| {
                let limit = options.in_flight * 3;
                options.in_flight(limit)
            };
            Tamper { options: Some(Box::new(more)), ..Tamper::default() }
        }),
        tampered("B09", "gives the pattern for the topic", || {
            on_deliveries(|delivery| {
                let parts = delivery.parts_mut();
                let (origin, name) = (&parts.origin, Topic::new("all.of.them").unwrap());
                parts.origin = Origin::new(name, origin.queue.clone(), origin.settler.clone());
            })
        }),
    ]
}
