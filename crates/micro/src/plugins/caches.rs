//! What is known of a registry: once for all the services of a process that use it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use micro_core::registry::{Cache, Registry};

/// Returns the cache of a registry: the one that another service of this process has, or a new one.
pub(crate) fn cache(registry: &Arc<dyn Registry>) -> Arc<Cache> {
    static CACHES: OnceLock<Mutex<HashMap<usize, Weak<Cache>>>> = OnceLock::new();
    let mut caches = CACHES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    caches.retain(|_, cache| cache.strong_count() > 0);
    // A cache keeps its registry, so that the place of a registry that has one is no other's.
    let place = Arc::as_ptr(registry).cast::<()>() as usize;
    if let Some(cache) = caches.get(&place).and_then(Weak::upgrade) {
        return cache;
    }
    let cache = Arc::new(Cache::new(Arc::clone(registry)));
    caches.insert(place, Arc::downgrade(&cache));
    cache
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_core::registry::Memory;

    #[test]
    fn services_of_one_registry_share_its_cache_and_others_do_not() {
        let registry = |memory: &Memory| Arc::new(memory.clone()) as Arc<dyn Registry>;
        let (one, other) = (registry(&Memory::new()), registry(&Memory::new()));
        let first = cache(&one);
        assert!(Arc::ptr_eq(&first, &cache(&Arc::clone(&one))));
        assert!(!Arc::ptr_eq(&first, &cache(&other)));
    }
}
