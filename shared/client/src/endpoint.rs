use std::{fmt, time::Duration};

/// The address of a service, the key for it, and how long a call may take.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The base URL, e.g. `http://127.0.0.1:8002`; a path in it is kept.
    pub url: String,
    /// Sent as `Authorization: Bearer <key>`.
    pub api_key: Option<String>,
    /// How long a call may take; calls that move artifacts get ten times this.
    pub timeout: Duration,
    /// How long the service keeps a connection on which no request comes; the client keeps it for a third of that.
    pub keep_alive: Duration,
}

impl Endpoint {
    /// A service without a key, with a timeout of 30 s, that keeps connections as services do by default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            api_key: None,
            timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(api::KEEP_ALIVE_SECONDS),
        }
    }

    /// The same with this key, if any.
    #[must_use]
    pub fn with_api_key(mut self, key: Option<String>) -> Self {
        self.api_key = key.filter(|key| !key.is_empty()); // a variable that is set to nothing is none
        self
    }

    /// The same with this timeout for a call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl fmt::Debug for Endpoint {
    /// Everything but the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("api_key", &self.api_key.as_ref().map(|_| "hidden"))
            .field("timeout", &self.timeout)
            .field("keep_alive", &self.keep_alive)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_no_debug_output() {
        let endpoint = Endpoint::new("http://localhost").with_api_key(Some("geheim".into()));
        assert!(!format!("{endpoint:?}").contains("geheim"));
    }
}
