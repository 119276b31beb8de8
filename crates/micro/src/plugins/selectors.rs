//! The strategies of choosing a node.

use std::sync::Arc;
use std::time::Duration;

use micro_core::address::Address;
use micro_core::selector::{
    ConsistentHash, Ejecting, P2c, Random, RoundRobin, Selector, Sticky, Subset, Weighted, ZoneAware,
};
use micro_core::{Error, Kind, Result};

use super::unknown::Known;
use crate::settings::duration;

const KNOWN: Known = Known {
    kind: "selector",
    here: &["p2c", "random", "roundrobin", "weighted", "consistenthash", "sticky"],
    by_feature: &[],
    go_micro: &["dns", "router", "static", "registry"],
};

/// Parameters that every strategy takes.
const COMMON: [&str; 11] = [
    "eject",
    "failures",
    "error_rate",
    "eject_time",
    "eject_longest",
    "panic",
    "zone",
    "zone_least",
    "zone_share",
    "subset",
    "client",
];

/// Makes the selector of a text as `p2c` or `consistenthash?header=x-user&zone=a`. `zone` and `id` are this program's own,
/// for parameters that say nothing else.
pub(crate) fn selector(text: &str, zone: Option<&str>, id: &str) -> Result<Arc<dyn Selector>> {
    made(text, zone, id).map_err(|error| match error.kind() {
        Kind::Config => Error::new(Kind::Config, format!("the --selector {text} is not valid")).source(error),
        _ => error,
    })
}

fn made(text: &str, zone: Option<&str>, id: &str) -> Result<Arc<dyn Selector>> {
    let address = Address::parse(text)?;
    let name = match (address.scheme(), address.hosts()) {
        (Some(name), []) => name,
        (None, [name]) => name,
        _ => return Err(KNOWN.unknown(text)),
    };
    let own: &[&str] = match name {
        "p2c" => &["decay", "slow_start"],
        "consistenthash" | "sticky" => &["header"],
        _ => &[],
    };
    let mut strategy: Box<dyn Selector> = match name {
        "p2c" => Box::new(p2c(&address)?),
        "random" => Box::new(Random),
        "roundrobin" => Box::new(RoundRobin::default()),
        "weighted" => Box::new(Weighted::default()),
        "consistenthash" => Box::new(match address.param("header") {
            Some(header) => ConsistentHash::header(header),
            None => ConsistentHash::default(),
        }),
        "sticky" => Box::new(match address.param("header") {
            Some(header) => Sticky::header(header),
            None => Sticky::default(),
        }),
        other => return Err(KNOWN.unknown(other)),
    };
    let known: Vec<_> = own.iter().chain(&COMMON).copied().collect();
    address.check_params(&known)?;
    if let Some(size) = read(&address, "subset", "a number of nodes, as 20", |text| text.parse().ok())? {
        strategy = Box::new(Subset::new(size, address.param("client").unwrap_or(id), strategy));
    }
    if let Some(zone) = address.param("zone").or(zone).filter(|zone| *zone != "off") {
        let mut local = ZoneAware::new(zone, strategy);
        if let Some(least) = read(&address, "zone_least", "a number of nodes, as 2", |text| text.parse().ok())? {
            local = local.least(least);
        }
        if let Some(least) = read(&address, "zone_share", SHARE, share)? {
            local = local.share(least);
        }
        strategy = Box::new(local);
    }
    let eject = read(&address, "eject", "on or off", |text| match text {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    })?;
    if eject == Some(false) {
        return Ok(Arc::from(strategy));
    }
    Ok(Arc::new(ejecting(&address, strategy)?))
}

fn p2c(address: &Address) -> Result<P2c> {
    let mut strategy = P2c::default();
    if let Some(decay) = time(address, "decay")? {
        strategy = strategy.decay(decay);
    }
    if let Some(slow_start) = time(address, "slow_start")? {
        strategy = strategy.slow_start(slow_start);
    }
    Ok(strategy)
}

fn ejecting(address: &Address, inner: Box<dyn Selector>) -> Result<Ejecting<Box<dyn Selector>>> {
    let mut strategy = Ejecting::new(inner);
    if let Some(failures) = read(address, "failures", "a number, as 5; 0 is never", |text| text.parse().ok())? {
        strategy = strategy.failures(failures);
    }
    if let Some(rate) = read(address, "error_rate", SHARE, share)? {
        strategy = strategy.error_rate(rate, 20);
    }
    if let Some(first) = time(address, "eject_time")? {
        strategy = strategy.time(first);
    }
    if let Some(longest) = time(address, "eject_longest")? {
        strategy = strategy.longest(longest);
    }
    if let Some(panic) = read(address, "panic", SHARE, share)? {
        strategy = strategy.panic(panic);
    }
    Ok(strategy)
}

const SHARE: &str = "a share from 0 to 1, as 0.5";

fn share(text: &str) -> Option<f32> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

fn time(address: &Address, name: &str) -> Result<Option<Duration>> {
    read(address, name, "a duration, as 10s", duration::parse)
}

fn read<T>(address: &Address, name: &str, right: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let wrong = |value| Error::new(Kind::Config, format!("the parameter {name}={value} is not valid; write {right}"));
    address.param(name).map(|value| parse(value).ok_or_else(|| wrong(value))).transpose()
}

#[cfg(test)]
mod tests {
    use micro_core::registry::Node;
    use micro_core::selector::{Candidate, Candidates, Choice};

    use super::*;

    fn error(text: &str) -> String {
        let error = selector(text, None, "id").unwrap_err();
        std::error::Error::source(&error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    }

    #[test]
    fn every_known_name_makes_its_strategy() {
        for name in KNOWN.here {
            assert_eq!(selector(name, None, "id").unwrap().name(), *name);
            assert_eq!(selector(&format!("{name}://?eject=off"), Some("a"), "id").unwrap().name(), *name);
        }
    }

    #[test]
    fn parameters_are_read() {
        let text = "p2c?decay=5s&slow_start=1m&failures=3&error_rate=0.2&eject_time=1s&eject_longest=1m&panic=0.3&zone=a\
                    &zone_least=2&zone_share=0.7&subset=20&client=7";
        let shown = format!("{:?}", selector(text, None, "id").unwrap());
        for part in
            ["decay: 5000.0", "slow_start: 60000.0", "failures: 3", "error_rate: 0.2", "first: 1000", "longest: 60000"]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        for part in ["panic: 0.3", "zone: \"a\"", "least: 2", "share: 0.7", "size: 20"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let shown = format!("{:?}", selector("consistenthash?header=x-user&eject=off", None, "id").unwrap());
        assert!(shown.contains("x-user") && !shown.contains("Ejecting"), "{shown}");
    }

    #[test]
    fn the_programs_zone_is_preferred_unless_the_selector_says_otherwise() {
        let shown = |text| format!("{:?}", selector(text, Some("b"), "id").unwrap());
        assert!(shown("p2c").contains("zone: \"b\"") && shown("p2c?zone=c").contains("zone: \"c\""));
        assert!(!shown("p2c?zone=off").contains("ZoneAware"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        assert!(error("pigeon").starts_with("no selector in this program is named \"pigeon\"; known are: p2c, random"));
        assert!(error("p2cc").ends_with("did you mean p2c?"));
        assert!(error("").contains("no selector in this program is named"));
        assert!(
            error("p2c?header=x").contains("\"header\" that is not known here; known are: decay, slow_start, eject")
        );
        assert!(error("p2c?decay=5").contains("the parameter decay=5 is not valid; write a duration, as 10s"));
        assert!(error("p2c?panic=50").contains("write a share from 0 to 1"));
        assert!(error("random?eject=perhaps").contains("write on or off"));
    }

    #[test]
    fn the_header_of_the_setting_is_the_key() {
        let strategy = selector("sticky?header=x-session", None, "id").unwrap();
        let node = |i| Arc::new(Candidate::new("s", "v", Node::new(format!("n{i}"), "h:1")));
        let nodes = Candidates::new((0..50).map(node).collect::<Vec<_>>());
        let mut metadata = micro_core::Headers::new();
        metadata.append("X-Session", "7f3a");
        let choice = Choice::new(tokio::time::Instant::now());
        let by_header = strategy.select(&nodes, &choice.with_metadata(&metadata));
        assert_eq!(by_header, strategy.select(&nodes, &choice.with_key("7f3a")));
    }
}
