use micro_core::address::Address;
use micro_core::registry::RegistryOptions;
use micro_registry_etcd::Etcd;

pub(crate) fn registry(address: &str) -> Etcd {
    Etcd::with_options(&RegistryOptions::new().address(Address::parse(address).unwrap())).unwrap()
}
