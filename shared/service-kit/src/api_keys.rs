//! API keys with names and scopes, in a file that has their hashes only.
//!
//! Of a key the file has the SHA-256. That is enough here, where it would not be for passwords: a [`secret`] is 32 random
//! bytes, so there is no list of likely ones to try, and slowing each try down (Argon2, scrypt) would protect nothing, but
//! would let anybody keep the service busy with wrong keys. NIST SP 800-63B, section 5.1.2.2, draws the line for secrets
//! that are looked up at 112 bits.

mod watched;

use std::{collections::BTreeSet, fmt, io, path::Path};

use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use sha2::{Digest as _, Sha256};

pub(crate) use watched::WatchedKeys;

/// What a key lets its holder do. No scope contains another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at everything: GET and HEAD, metrics included, and what changes nothing.
    Read,
    /// Work: runs, decisions, outcomes, windows, records, evaluations.
    Write,
    /// Steer what others work on: cancel and delete, promote, roll back and stop, exclude, intervene by hand.
    Operate,
    /// Read `/metrics`, and nothing else.
    Metrics,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Operate, Self::Metrics];

    /// Its name in files, flags, documents and errors.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Operate => "operate",
            Self::Metrics => "metrics",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a service knows of a key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose it is, for the log and for errors.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// What it lets its holder do.
    #[serde(deserialize_with = "scopes")]
    pub scopes: BTreeSet<Scope>,
    /// The SHA-256 of the secret's text.
    #[serde(with = "hex::serde")]
    pub sha256: [u8; 32],
}

impl ApiKey {
    /// What is kept of a secret.
    ///
    /// # Errors
    /// The name has other characters than a log line can do with, or there is no scope.
    pub fn of(secret: &str, name: &str, scopes: BTreeSet<Scope>) -> Result<Self, ApiKeysError> {
        check_name(name).map_err(ApiKeysError::Content)?;
        if scopes.is_empty() {
            return Err(ApiKeysError::Content(NO_SCOPE.to_owned()));
        }
        Ok(Self { name: name.to_owned(), scopes, sha256: hash(secret) })
    }
}

/// Why a file of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeysError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is not what such a file is.
    #[error("{0}")]
    Content(String),
}

/// The text of a key that is made of 32 bytes of the system's randomness. What it begins with is for those who search
/// files and logs for secrets.
#[must_use]
pub fn secret(random: &[u8; 32]) -> String {
    format!("ai-mesh_{}", hex::encode(random))
}

/// The keys of a file.
///
/// # Errors
/// It cannot be read, is not TOML of this form, or has two keys of one name.
pub fn read(path: &Path) -> Result<Vec<ApiKey>, ApiKeysError> {
    parse(&bytes(path)?)
}

/// A file with these keys, as text.
#[must_use]
pub fn to_text(keys: &[ApiKey]) -> String {
    let mut text = HEAD.to_owned();
    for ApiKey { name, scopes, sha256 } in keys {
        let scopes = scopes.iter().map(|scope| format!("\"{scope}\"")).collect::<Vec<_>>().join(", ");
        text += &format!(
            "\n[[keys]]\nname = \"{name}\"\nscopes = [{scopes}]\nsha256 = \"{}\"\n",
            hex::encode(sha256)
        );
    }
    text
}

const HEAD: &str = "# API keys: for each its name, what it may do (read, write, operate, metrics), and the SHA-256 of its secret.\n\
                    # Written by `mesh api-key`, which keeps no comments. Services read it anew when it changes.\n";

pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn bytes(path: &Path) -> Result<Vec<u8>, ApiKeysError> {
    std::fs::read(path).map_err(|error: io::Error| ApiKeysError::Unreadable(error.to_string()))
}

fn parse(bytes: &[u8]) -> Result<Vec<ApiKey>, ApiKeysError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        keys: Vec<ApiKey>,
    }
    let text = json_input::text(bytes).map_err(|error| ApiKeysError::Content(error.to_string()))?;
    let File { keys } = Figment::from(Toml::string(text)).extract().map_err(|error| wrong(&error))?;
    let mut names = BTreeSet::new();
    match keys.iter().find(|key| !names.insert(&key.name)) {
        Some(twice) => Err(ApiKeysError::Content(format!("two keys have the name `{}`", twice.name))),
        None => Ok(keys),
    }
}

/// What is wrong, and where.
fn wrong(error: &figment::Error) -> ApiKeysError {
    // The library shows the line, with a pointer below it: that is for screens.
    let what = error.kind.to_string();
    let what = what.lines().filter(|line| !line.contains('|')).collect::<Vec<_>>().join(": ");
    let what = json_input::in_words(&what);
    let place = error.path.join(".");
    ApiKeysError::Content(if place.is_empty() { what } else { format!("`{place}`: {what}") })
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@'));
    let expected = "a key's name has 1 to 64 letters, digits, `-`, `_`, `.` and `@`";
    if fits { Ok(()) } else { Err(format!("{expected}; found `{}`", name.escape_debug())) }
}

const NO_SCOPE: &str = "a key has at least one scope of read, write, operate and metrics";

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_name(&name).map(|()| name).map_err(D::Error::custom)
}

fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Scope>, D::Error> {
    let scopes = BTreeSet::deserialize(deserializer)?;
    if scopes.is_empty() { Err(D::Error::custom(NO_SCOPE)) } else { Ok(scopes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_has_no_secret() {
        let secret = secret(&[7; 32]);
        let keys = [
            ApiKey::of(&secret, "ci@site", [Scope::Write, Scope::Read].into()).unwrap(),
            ApiKey::of("another", "dashboard", [Scope::Metrics].into()).unwrap(),
        ];
        let text = to_text(&keys);
        assert_eq!(parse(text.as_bytes()).unwrap(), keys);
        assert!(text.contains("scopes = [\"read\", \"write\"]") && !text.contains(&secret), "{text}");
        assert_eq!(parse(to_text(&[]).as_bytes()).unwrap(), []);
    }

    #[test]
    fn a_key_is_kept_as_its_sha_256() {
        // FIPS 180-4's example: the hash of `abc`
        let key = ApiKey::of("abc", "a", [Scope::Read].into()).unwrap();
        assert_eq!(
            hex::encode(key.sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn what_is_no_file_of_keys_says_why() {
        let hash = "ba".repeat(32);
        let key = |name: &str, scopes: &str, hash: &str| {
            format!("[[keys]]\nname = \"{name}\"\nscopes = [{scopes}]\nsha256 = \"{hash}\"\n")
        };
        let good = key("a", "\"read\"", &hash);
        for (wrong, told) in [
            ("keys = 3".to_owned(), "keys"),
            ("[[keys]".to_owned(), "TOML"),
            ("[[key]]".to_owned(), "`key`"),
            (key("a", "\"admin\"", &hash), "`admin`"),
            (key("a", "", &hash), "at least one scope"),
            (key("a b", "\"read\"", &hash), "`a b`"),
            (key("a", "\"read\"", "ba"), "sha256"),
            (format!("{good}{good}"), "two keys have the name `a`"),
            (format!("{good}secret = \"x\"\n"), "`secret`"),
        ] {
            let error = parse(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }
}
