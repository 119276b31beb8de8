use std::time::Duration;

use micro_core::broker::{Delivery, Message, Settle, Settlement};

use super::{Double, Hooks, Tamper, hooked, made, tampered};
use crate::tamper::instead;

fn hooks(case: &'static str, wrong: &'static str, set: fn(&mut Hooks)) -> Double {
    hooked(case, wrong, move |memory| {
        let mut hooks = Hooks::of(memory);
        set(&mut hooks);
        hooks
    })
}

/// Every second message is lost on its way in.
fn loses_half() -> Tamper {
    let half = |messages: Vec<Message>| {
        let all = messages.len();
        messages.into_iter().take(all.div_ceil(2)).collect()
    };
    Tamper { publish: Some(Box::new(half)), ..Tamper::default() }
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        made("B80", "dials when it is made", |world| {
            std::thread::sleep(Duration::from_millis(60));
            std::sync::Arc::new(micro_core::broker::Memory::shared(world))
        }),
        hooks("B83", "goes on after stop", |hooks| hooks.stops = false),
        tampered("B83", "loses answers", || instead(|settle| *settle == Settle::Ack, Settle::Release)),
        tampered("B84", "loses what is published last", loses_half),
        tampered("B85", "confirms what it loses", loses_half),
        hooks("B86", "ends only once", |hooks| hooks.ends_once = true),
        hooks("B86", "leaves who waits waiting", |hooks| hooks.ends_waiting = false),
        hooks("B87", "takes others along when it is dropped", |hooks| hooks.drops_all = true),
        hooks("B88", "works on after its end", |hooks| hooks.disconnects = false),
        hooks("B89", "ends all when one leaves", |hooks| hooks.leaves_all = true),
        tampered("B90", "takes what is dropped for done", || instead(|s| *s == Settle::Release, Settle::Ack)),
        tampered("B90", "forgets what is done", || instead(|settle| *settle == Settle::Ack, Settle::Release)),
        hooks("B91", "keeps clients apart", |hooks| hooks.apart = true),
        hooks("B92", "hangs when somebody leaves", |hooks| hooks.leaves = false),
        tampered("B92", "confirms what it loses", loses_half),
        hooks("B92", "ends with another word than Closed", |hooks| hooks.vague_end = true),
        hooks("B96", "forgets what it took when it is dropped", |hooks| hooks.forgets = true),
        hooks("B93", "ends all clients at once", |hooks| hooks.ends_all = true),
        hooks("B95", "works on its own runtime only", |hooks| hooks.one_runtime = true),
        tampered("B96", "loses what it had when it was given up", || {
            let some = |mut deliveries: Vec<Delivery>| {
                let lost = deliveries.split_off(deliveries.len().min(2));
                for delivery in lost {
                    drop(delivery.settler().settle(vec![Settlement::new(delivery.token(), Settle::Ack, 0)]));
                }
                deliveries
            };
            Tamper { deliver: Some(Box::new(some)), ..Tamper::default() }
        }),
    ]
}
