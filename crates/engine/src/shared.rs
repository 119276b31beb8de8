use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use micro_core::Result;

/// One instance a process and folder, for as long as somebody holds it.
#[derive(Debug)]
pub struct Shared<T>(Mutex<BTreeMap<PathBuf, Weak<T>>>);

impl<T> Shared<T> {
    /// Creates an empty table; it belongs in a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Returns the instance of a folder, or opens it. It blocks while another one opens.
    ///
    /// # Errors
    ///
    /// That of opening.
    pub fn get_or_open(&self, folder: &Path, open: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        self.get_or_open_if(folder, |_| true, open)
    }

    /// Returns the instance of a folder if it is still good, or opens another in its stead. It blocks while another one
    /// opens.
    ///
    /// # Errors
    ///
    /// That of opening.
    pub fn get_or_open_if(
        &self,
        folder: &Path,
        good: impl FnOnce(&T) -> bool,
        open: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let mut instances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.get(folder).and_then(Weak::upgrade).filter(|instance| good(instance)) {
            return Ok(instance);
        }
        let instance = Arc::new(open()?);
        instances.retain(|_, held| held.strong_count() > 0);
        instances.insert(folder.to_owned(), Arc::downgrade(&instance));
        Ok(instance)
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
