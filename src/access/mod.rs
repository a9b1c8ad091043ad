//! Who may come in, whatever the protocol: keys, what each of them may ask, and how fast.
//!
//! [`file`] is what an operator writes, [`secret`] what a caller shows
//! and [`key`] where, [`caller`] who it then is;
//! [`strangers`] bounds those who guess. Must not know: HTTP, gRPC, stores.

pub mod caller;
pub mod file;
pub mod key;
pub mod secret;
pub mod strangers;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::error::{ErrorCode, Refusal};
use caller::{Caller, Key};
use file::KeysError;
use secret::Digest;
use strangers::Strangers;

/// The door. Shared by everything that takes requests.
#[derive(Debug)]
pub struct Access {
    keys: Option<Keys>,
    strangers: Strangers,
}

/// The keys of a file, as it was when it was last read in order.
#[derive(Debug)]
struct Keys {
    path: PathBuf,
    current: RwLock<Arc<[Arc<Key>]>>,
}

impl Access {
    /// A door that is open: there are no keys, and everybody may ask everything.
    #[must_use]
    pub fn open() -> Self {
        Self {
            keys: None,
            strangers: Strangers::default(),
        }
    }

    /// A door for those who have a key of this file.
    ///
    /// # Errors
    /// [`KeysError`], naming the key and what is wrong with it.
    pub fn with_keys(path: PathBuf) -> Result<Self, KeysError> {
        let keys = file::read(&path)?;
        let current = RwLock::new(keys.into_iter().map(Key::new).map(Arc::new).collect());
        Ok(Self {
            keys: Some(Keys { path, current }),
            strangers: Strangers::default(),
        })
    }

    /// Whether one needs a key.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.keys.is_some()
    }

    /// Reads the keys anew and says how many there are. A key that is as it was goes on counting
    /// where it was; requests that are under way keep the rights they came with.
    ///
    /// # Errors
    /// [`KeysError`]: then everything stays as it is.
    pub fn reload(&self) -> Result<usize, KeysError> {
        let Some(keys) = &self.keys else {
            return Ok(0);
        };
        let read = file::read(&keys.path)?;
        let before = keys.now();
        let known = |entry: &file::Entry| before.iter().find(|key| key.id() == entry.id);
        let after: Arc<[Arc<Key>]> = read
            .into_iter()
            .map(|entry| match known(&entry) {
                Some(key) => Arc::new(key.renewed(entry)),
                None => Arc::new(Key::new(entry)),
            })
            .collect();
        let count = after.len();
        *keys.current.write().unwrap_or_else(PoisonError::into_inner) = after;
        Ok(count)
    }

    /// Lets a caller in who shows this secret, or says why not. One who is let in has used one of
    /// its requests.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthorized`] and [`ErrorCode::RateLimited`].
    pub fn enter(&self, shown: Option<&[u8]>, from: Option<IpAddr>) -> Result<Caller, Refusal> {
        let Some(keys) = &self.keys else {
            return Ok(Caller::anyone());
        };
        let shown = shown.ok_or_else(|| {
            let message = "this server asks for a key: send it as Authorization: Bearer KEY";
            Refusal::new(ErrorCode::Unauthorized, message)
        })?;
        let given = Digest::of(shown);
        let mut found = None;
        // All of them, always: how long it takes says nothing of which.
        for key in keys.now().iter() {
            if key.is_opened_by(&given) {
                found = Some(key.clone());
            }
        }
        let Some(key) = found else {
            return Err(self.strangers.refuse(from, "this key is not known here"));
        };
        if key.has_expired(SystemTime::now()) {
            return Err(self.strangers.refuse(from, "this key has expired"));
        }
        key.use_once()?;
        Ok(Caller::of(key))
    }
}

impl Keys {
    fn now(&self) -> Arc<[Arc<Key>]> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::store::Priority;
    use secret::Secret;

    fn table(id: &str, secret: &Secret, more: &str) -> String {
        format!("[{id}]\nsha256 = \"{}\"\n{more}\n", secret.digest())
    }

    fn access(folder: &Path, text: &str) -> Access {
        let path = folder.join("keys.toml");
        fs::write(&path, text).unwrap();
        Access::with_keys(path).unwrap()
    }

    fn code(entered: Result<Caller, Refusal>) -> ErrorCode {
        entered.unwrap_err().code
    }

    #[test]
    fn without_keys_everybody_is_let_in() {
        let caller = Access::open().enter(None, None).unwrap();
        assert_eq!(caller.id(), None);
        assert_eq!(caller.priority(Some(Priority::High)), Ok(Priority::High));
    }

    #[test]
    fn a_key_opens_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let (shop, lab) = (Secret::new().unwrap(), Secret::new().unwrap());
        let text = table("shop", &shop, "") + &table("lab", &lab, "priority = \"low\"");
        let access = access(folder.path(), &text);
        let enter = |shown: &str| access.enter(Some(shown.as_bytes()), None);
        assert_eq!(enter(shop.as_str()).unwrap().id(), Some("shop"));
        assert_eq!(enter(lab.as_str()).unwrap().id(), Some("lab"));
        assert_eq!(code(access.enter(None, None)), ErrorCode::Unauthorized);
        let shown = shop.as_str();
        for wrong in [
            "",
            "shop",
            &shown[1..],
            &format!("{shown} "),
            &shop.digest().to_string(),
        ] {
            assert_eq!(code(enter(wrong)), ErrorCode::Unauthorized, "{wrong}");
        }
    }

    #[test]
    fn an_expired_key_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::new().unwrap();
        let text = table("old", &secret, "expires = \"2020-01-01T00:00:00Z\"");
        let refused = access(folder.path(), &text).enter(Some(secret.as_str().as_bytes()), None);
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unauthorized);
        assert!(refused.message.contains("expired"), "{}", refused.message);
    }

    #[test]
    fn a_key_that_asks_too_fast_is_told_when_to_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::new().unwrap();
        let text = table("eager", &secret, "requests-per-second = 1\nburst = 2");
        let access = access(folder.path(), &text);
        // No machine takes a second for each of them.
        let refused =
            (0..100).find_map(|_| access.enter(Some(secret.as_str().as_bytes()), None).err());
        let refused = refused.unwrap();
        assert_eq!(refused.code, ErrorCode::RateLimited);
        assert!(refused.retry_after.unwrap().as_secs_f64() <= 1.0);
    }

    #[test]
    fn a_reload_takes_what_is_new_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (Secret::new().unwrap(), Secret::new().unwrap());
        let access = access(folder.path(), &table("a", &first, "in-flight = 1"));
        let enter = |secret: &Secret| access.enter(Some(secret.as_str().as_bytes()), None);
        let held = enter(&first).unwrap().hold(1).unwrap();

        let path = folder.path().join("keys.toml");
        fs::write(&path, "[a]\nsha256 = \"short\"").unwrap();
        assert!(
            access
                .reload()
                .unwrap_err()
                .to_string()
                .contains("keys.toml")
        );
        assert!(enter(&first).is_ok());

        let both = table("a", &first, "in-flight = 1") + &table("b", &second, "");
        fs::write(&path, both).unwrap();
        assert_eq!(access.reload().unwrap(), 2);
        let refused = enter(&first).unwrap().hold(1).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooManyInFlight, "it is counted on");
        drop(held);
        assert!(enter(&first).unwrap().hold(1).is_ok());
        assert_eq!(enter(&second).unwrap().id(), Some("b"));

        fs::write(&path, table("b", &second, "")).unwrap();
        assert_eq!(access.reload().unwrap(), 1);
        assert_eq!(code(enter(&first)), ErrorCode::Unauthorized);
    }
}
