use micro_core::address::Address;
use micro_core::registry::RegistryOptions;
use micro_registry_zookeeper::ZooKeeper;

pub(crate) fn registry(address: &str) -> ZooKeeper {
    ZooKeeper::with_options(&RegistryOptions::new().address(Address::parse(address).unwrap())).unwrap()
}
