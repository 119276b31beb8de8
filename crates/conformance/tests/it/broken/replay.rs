use micro_core::broker::{Start, SubscribeOptions};

use super::{Double, Hooks, Tamper, hooked, tampered};

fn begins(at: fn(Start) -> Start) -> Tamper {
    let options = move |mut options: SubscribeOptions| {
        options.start = options.start.map(at);
        options
    };
    Tamper { options: Some(Box::new(options)), ..Tamper::default() }
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B126", "always begins at the earliest", || begins(|_| Start::Earliest)),
        tampered("B126", "knows no times", || {
            begins(|start| if matches!(start, Start::Time(_)) { Start::Latest } else { start })
        }),
        hooked("B127", "moves nowhere", |memory| {
            let mut hooks = Hooks::of(memory);
            hooks.seeks = false;
            hooks
        }),
        hooked("B127", "takes an unknown position for the beginning", |memory| {
            let mut hooks = Hooks::of(memory);
            hooks.seeks_anywhere = true;
            hooks
        }),
        hooked("B127", "refuses an unknown position, and loses what was not read", |memory| {
            let mut hooks = Hooks::of(memory);
            hooks.seeks_and_refuses = true;
            hooks
        }),
        hooked("B127", "does not say what was wrong", |memory| {
            let mut hooks = Hooks::of(memory);
            hooks.seeks_vaguely = true;
            hooks
        }),
        hooked("B127", "takes a sequence where it has offsets", |memory| {
            let mut hooks = Hooks::of(memory);
            hooks.seeks_any_kind = true;
            hooks
        }),
        tampered("B128", "keeps no history", || begins(|_| Start::Latest)),
    ]
}
