use micro_core::address::Address;
use micro_core::registry::RegistryOptions;
use micro_registry_nats::Nats;

pub(crate) fn registry(address: &str) -> Nats {
    Nats::with_options(&RegistryOptions::new().address(Address::parse(address).unwrap())).unwrap()
}
