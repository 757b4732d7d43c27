//! A setting that a reload of the configuration replaces while its readers run. Readers take no lock, so a hot path may
//! read it for each event.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A shared setting. Cheap to clone; all clones see a replacement.
#[derive(Debug)]
pub struct Reloadable<T>(Arc<ArcSwap<T>>);

impl<T> Clone for Reloadable<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Reloadable<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The present value, for longer than one expression.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Reads the present value without the cost of sharing it.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.load())
    }

    /// Later reads return this value.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T: Copy> Reloadable<T> {
    pub fn get(&self) -> T {
        self.read(|value| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_see_a_replacement_and_loaded_values_stay() {
        let setting = Reloadable::new(1);
        let (clone, loaded) = (setting.clone(), setting.load());
        clone.replace(2);
        assert_eq!((setting.get(), *loaded), (2, 1));
    }
}
