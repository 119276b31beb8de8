//! What a program that uses the facade may rely on.

mod caller;
#[cfg(feature = "registry-embedded")]
mod calls;
#[cfg(feature = "registry-embedded")]
mod clock;
mod conformance;
#[cfg(feature = "broker-embedded")]
mod crash;
mod debug;
mod errors;
#[cfg(feature = "registry-etcd")]
mod etcd;
mod leaving;
mod lifecycle;
mod middleware;
#[cfg(feature = "registry-etcd")]
mod minute;
#[cfg(all(feature = "embedded", feature = "mdns", feature = "registry-gossip", feature = "registry-static"))]
mod namespaces;
mod outage;
mod probe;
mod process;
mod registration;
mod sealed;
mod secure;
mod setting;
mod stop;
mod support;
#[cfg(feature = "registry-embedded")]
mod survive;
mod together;
mod trace;
