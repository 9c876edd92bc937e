use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use super::{ApiKey, ApiKeysError, bytes, parse};

/// The keys of a file, as it is now: it is read again every second, and counts as soon as it changes. While it is broken, or
/// away, the keys of before count, and the log says so once.
#[derive(Debug)]
pub(crate) struct WatchedKeys {
    path: PathBuf,
    /// What was in the file when it was last looked at, whether or not it was of use.
    seen: RwLock<Result<Vec<u8>, ApiKeysError>>,
    keys: RwLock<Arc<[ApiKey]>>,
}

/// A revoked key works for no longer than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl WatchedKeys {
    /// Reads the file, and goes on reading it until the last clone of the result is gone.
    ///
    /// # Errors
    /// There are no keys of before yet, so it must be of use.
    pub(crate) fn open(path: PathBuf) -> Result<Arc<Self>, ApiKeysError> {
        let content = bytes(&path)?;
        let keys = RwLock::new(parse(&content)?.into());
        let watched = Arc::new(Self { path, seen: RwLock::new(Ok(content)), keys });
        let weak = Arc::downgrade(&watched);
        // A thread of its own, as long as the service: a file somewhere in the network may keep whoever reads it.
        let thread = std::thread::Builder::new().name("api-keys".into()).spawn(move || watch(&weak));
        thread.map_err(|error| ApiKeysError::Unreadable(error.to_string()))?;
        Ok(watched)
    }

    /// The keys that count now.
    pub(crate) fn now(&self) -> Arc<[ApiKey]> {
        // A panic while a lock was held cannot happen: only assignments run under it.
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether the file has changed. Comparing what is in it notices also what leaves its time of change as it was.
    fn look(&self) {
        let found = bytes(&self.path);
        if *self.seen.read().unwrap_or_else(PoisonError::into_inner) == found {
            return;
        }
        let path = self.path.display();
        match found.as_ref().map_err(Clone::clone).and_then(|content| parse(content)) {
            Ok(keys) => {
                tracing::info!(%path, keys = keys.len(), "the file of API keys has changed: its keys count from now on");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
            }
            Err(error) => tracing::error!(
                %path, %error,
                "the file of API keys is of no use: the keys of before go on to count until it is mended"
            ),
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

fn watch(keys: &Weak<WatchedKeys>) {
    loop {
        std::thread::sleep(LOOK_EVERY);
        match keys.upgrade() {
            Some(keys) => keys.look(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::api_keys::{Scope, to_text};

    fn file(names: &[&str]) -> String {
        let key = |name: &&str| ApiKey::of(name, name, [Scope::Read].into()).unwrap();
        to_text(&names.iter().map(key).collect::<Vec<_>>())
    }

    fn names(keys: &WatchedKeys) -> Vec<String> {
        keys.now().iter().map(|key| key.name.clone()).collect()
    }

    #[test]
    fn a_change_counts_and_a_broken_file_leaves_the_keys_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        assert!(matches!(WatchedKeys::open(path.clone()), Err(ApiKeysError::Unreadable(_))));
        fs::write(&path, "nonsense").unwrap();
        assert!(matches!(WatchedKeys::open(path.clone()), Err(ApiKeysError::Content(_))));
        fs::write(&path, file(&["a", "b"])).unwrap();
        let keys = WatchedKeys::open(path.clone()).unwrap();
        let after = |change: &dyn Fn()| {
            change();
            keys.look();
            names(&keys)
        };
        assert_eq!(after(&|| fs::write(&path, file(&["b", "c"])).unwrap()), ["b", "c"]);
        assert_eq!(after(&|| fs::write(&path, "[[keys]]\nname = ").unwrap()), ["b", "c"]);
        assert_eq!(after(&|| fs::remove_file(&path).unwrap()), ["b", "c"]);
        assert_eq!(after(&|| fs::write(&path, file(&["c"])).unwrap()), ["c"]);
        assert!(after(&|| fs::write(&path, file(&[])).unwrap()).is_empty(), "no keys are no broken file");
    }
}
