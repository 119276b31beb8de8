//! The registries. The services of a process share one of each, and so its connections and its cache.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use micro_core::Result;
#[cfg(any(
    feature = "registry-consul",
    feature = "registry-dns",
    feature = "registry-embedded",
    feature = "registry-etcd",
    feature = "registry-gossip",
    feature = "registry-mdns",
    feature = "registry-nats",
    feature = "registry-static",
    feature = "registry-zookeeper"
))]
use micro_core::registry::RegistryOptions;
use micro_core::registry::{Memory, Multi, Registry};

use super::unknown::Known;
use crate::settings::Choice;

const KNOWN: Known = Known {
    kind: "registry",
    here: &[
        #[cfg(feature = "registry-consul")]
        "consul",
        #[cfg(feature = "registry-dns")]
        "dns",
        #[cfg(feature = "registry-embedded")]
        "embedded",
        #[cfg(feature = "registry-etcd")]
        "etcd",
        #[cfg(feature = "registry-gossip")]
        "gossip",
        #[cfg(feature = "registry-mdns")]
        "mdns",
        "memory",
        #[cfg(feature = "registry-nats")]
        "nats",
        #[cfg(feature = "registry-static")]
        "static",
        #[cfg(feature = "registry-zookeeper")]
        "zookeeper",
    ],
    by_feature: &[
        #[cfg(not(feature = "registry-consul"))]
        ("consul", "registry-consul"),
        #[cfg(not(feature = "registry-dns"))]
        ("dns", "registry-dns"),
        #[cfg(not(feature = "registry-embedded"))]
        ("embedded", "registry-embedded"),
        #[cfg(not(feature = "registry-etcd"))]
        ("etcd", "registry-etcd"),
        #[cfg(not(feature = "registry-gossip"))]
        ("gossip", "registry-gossip"),
        #[cfg(not(feature = "registry-mdns"))]
        ("mdns", "registry-mdns"),
        #[cfg(not(feature = "registry-nats"))]
        ("nats", "registry-nats"),
        #[cfg(not(feature = "registry-static"))]
        ("static", "registry-static"),
        #[cfg(not(feature = "registry-zookeeper"))]
        ("zookeeper", "registry-zookeeper"),
    ],
    go_micro: &["kubernetes", "eureka", "cache", "proxy", "service"],
};

/// Makes the registry of the choices; does no I/O. The first of several is the one that must work.
pub(crate) fn registry(choices: &[Choice], home: Option<&str>) -> Result<Arc<dyn Registry>> {
    static MADE: Mutex<Vec<Made>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.retain(|made| made.registry.strong_count() > 0);
    let same = made.iter().find(|made| made.choices == choices && made.home.as_deref() == home);
    if let Some(registry) = same.and_then(|made| made.registry.upgrade()) {
        return Ok(registry);
    }
    let mut all = choices.iter().map(|choice| one(choice, home)).collect::<Result<Vec<_>>>()?;
    let registry = if all.len() == 1 { all.swap_remove(0) } else { Arc::new(Multi::new(all)) };
    made.push(Made { choices: choices.to_vec(), home: home.map(str::to_owned), registry: Arc::downgrade(&registry) });
    Ok(registry)
}

/// A registry that somebody may still use.
struct Made {
    choices: Vec<Choice>,
    home: Option<String>,
    registry: Weak<dyn Registry>,
}

fn one(choice: &Choice, home: Option<&str>) -> Result<Arc<dyn Registry>> {
    let _ = home;
    match choice.name.as_str() {
        // One world a process, so that the services of a process find each other, also after all of them have stopped.
        "memory" => {
            static WORLD: OnceLock<Arc<Memory>> = OnceLock::new();
            Ok(Arc::clone(WORLD.get_or_init(Arc::default)) as Arc<dyn Registry>)
        }
        #[cfg(feature = "registry-consul")]
        // `consuls` is the scheme of an address with TLS.
        "consul" | "consuls" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_consul::Consul::with_options(&options)?))
        }
        #[cfg(feature = "registry-dns")]
        "dns" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_dns::Dns::with_options(&options)?))
        }
        #[cfg(feature = "registry-embedded")]
        "embedded" => {
            let address = super::in_home(&choice.address, home);
            let options = RegistryOptions::new().address(address);
            Ok(Arc::new(micro_registry_embedded::Embedded::with_options(options)?))
        }
        #[cfg(feature = "registry-etcd")]
        "etcd" | "etcds" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_etcd::Etcd::with_options(&options)?))
        }
        #[cfg(feature = "registry-gossip")]
        "gossip" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_gossip::Gossip::with_options(&options)?))
        }
        #[cfg(feature = "registry-mdns")]
        "mdns" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_mdns::Mdns::with_options(&options)?))
        }
        #[cfg(feature = "registry-nats")]
        "nats" | "natss" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_nats::Nats::with_options(&options)?))
        }
        #[cfg(feature = "registry-static")]
        "static" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_static::Static::with_options(&options)?))
        }
        #[cfg(feature = "registry-zookeeper")]
        "zookeeper" | "zk" => {
            let options = RegistryOptions::new().address(choice.address.clone());
            Ok(Arc::new(micro_registry_zookeeper::ZooKeeper::with_options(&options)?))
        }
        other => Err(KNOWN.unknown(other)),
    }
}

#[cfg(all(test, feature = "registry-etcd"))]
mod tests {
    use micro_core::address::Address;

    use super::*;

    #[test]
    fn services_share_a_registry_of_one_address_and_one_account() {
        let at = |address: &str| {
            registry(&[Choice { name: "etcd".to_owned(), address: Address::parse(address).unwrap() }], None).unwrap()
        };
        let one = at("etcd://root:one@h");
        assert!(Arc::ptr_eq(&one, &at("etcd://root:one@h")));
        assert!(!Arc::ptr_eq(&one, &at("etcd://root:other@h")), "another password is another account");
    }
}
