use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Map, Num, Value},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::server::Deadlines;
use crate::{
    api_keys, cors,
    hosts::Host,
    settings::{Leaf, leaves, prefix},
};

/// How a service listens and what it lets in.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// The address to listen on, with its port; a name such as `localhost` is looked up once. Port 0 takes a free one.
    #[schema(value_type = String)]
    #[serde(deserialize_with = "address")]
    pub bind: SocketAddr,
    /// Bearer keys, separated by commas: a caller needs one of them. Without keys anybody may call, and only
    /// loopback addresses are bound.
    #[serde(deserialize_with = "api_keys")]
    pub api_keys: Vec<String>,
    /// A file of keys with names and scopes, as `mesh api-key create` writes it. It is read again when it changes; while it
    /// is broken, the keys of before count. The keys of `http.api_keys` have all scopes, and may be there beside it.
    #[schema(value_type = Option<String>)]
    pub api_key_file: Option<PathBuf>,
    /// Names under which the service is called, separated by commas, such as `trainer,mesh.example`. Without keys a
    /// request whose `Host` is neither one of them nor loopback nor the service's own address gets 421, because it may
    /// be a browser's for a page that gave this machine's address a name of its own.
    #[serde(deserialize_with = "hosts")]
    pub hosts: Vec<String>,
    /// Origins, separated by commas, whose pages may call from a browser (CORS), such as `https://mesh.example`.
    #[serde(deserialize_with = "origins")]
    pub origins: Vec<String>,
    /// Bind an address that others can reach even though there are no keys.
    pub allow_insecure_bind: bool,
    /// The longest request body in bytes; a longer one gets 413. Some routes have a limit of their own.
    pub body_limit_bytes: usize,
    /// Seconds until a request ends with 408 because its headers, or then its body, have not arrived, or with 504 because
    /// its answer has not begun. A connection without a request for so long is closed.
    pub request_timeout_seconds: u64,
    /// Requests served at the same time; one more gets 503 with `Retry-After`.
    pub max_concurrent_requests: usize,
    /// Requests per second that one caller may keep up; one more gets 429 with `Retry-After`. 0 means no limit.
    /// A caller is an API key or, without a valid one, an address (of IPv6 the first 64 bits; behind a proxy it
    /// is the proxy's). Health, documents and metrics are not counted.
    pub requests_per_second: u32,
    /// Requests that a quiet caller may send at once; 0 means as many as in one second.
    pub burst: u32,
    /// Seconds that running requests get to finish at shutdown; after that they get 503.
    pub shutdown_grace_seconds: u64,
}

impl HttpConfig {
    /// The defaults on loopback with this port.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], port)), ..Self::default() }
    }

    /// Refuses what would let strangers in. [`load_config`] asks this for a field named `http`, and
    /// [`listen`](crate::listen) before it binds.
    ///
    /// # Errors
    /// The address can be reached from outside, there are no keys, and that was not asked for by name; the file of keys is
    /// of no use.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(file) = &self.api_key_file {
            api_keys::read(file).map_err(|error| {
                ConfigError(format!(
                    "http.api_key_file, {}: {error}; `mesh api-key create --file {}` writes such a file",
                    file.display(),
                    file.display()
                ))
            })?;
        }
        if self.bind.ip().is_loopback() || self.has_keys() || self.allow_insecure_bind {
            return Ok(());
        }
        Err(ConfigError(format!(
            "http.bind is {}, which others can reach, but there are neither http.api_keys nor an http.api_key_file: set keys, \
             bind 127.0.0.1, or set http.allow_insecure_bind = true if anybody may call",
            self.bind
        )))
    }

    /// Whether callers need a key.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.api_keys.is_empty() || self.api_key_file.is_some()
    }

    /// `request_timeout_seconds` as a duration.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }

    /// For how long connections are waited for.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        Deadlines { head: self.request_timeout(), grace: Duration::from_secs(self.shutdown_grace_seconds) }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_keys: Vec::new(),
            api_key_file: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            allow_insecure_bind: false,
            body_limit_bytes: 16 << 20,
            request_timeout_seconds: api::KEEP_ALIVE_SECONDS,
            max_concurrent_requests: 256,
            requests_per_second: 0,
            burst: 0,
            shutdown_grace_seconds: 10,
        }
    }
}

impl fmt::Debug for HttpConfig {
    /// Everything but the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("bind", &self.bind)
            .field("api_keys", &format_args!("[{} hidden]", self.api_keys.len()))
            .field("api_key_file", &self.api_key_file)
            .field("hosts", &self.hosts)
            .field("origins", &self.origins)
            .field("allow_insecure_bind", &self.allow_insecure_bind)
            .field("body_limit_bytes", &self.body_limit_bytes)
            .field("request_timeout_seconds", &self.request_timeout_seconds)
            .field("max_concurrent_requests", &self.max_concurrent_requests)
            .field("requests_per_second", &self.requests_per_second)
            .field("burst", &self.burst)
            .field("shutdown_grace_seconds", &self.shutdown_grace_seconds)
            .finish()
    }
}

/// A setting that cannot be: says which, where it came from, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// A setting that the service itself finds wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Reads a service's settings: `C::default()`, over it the TOML file (if one is given), over it the
/// environment.
///
/// Every field that `C::default()` serialises has the variable `AI_MESH_<SERVICE>_<PATH>`, with the
/// path's parts joined by `_`: `http.bind` of `psi-field` is `AI_MESH_PSI_FIELD_HTTP_BIND`. Lists are
/// written with commas, or as TOML. `C` and its parts must be `deny_unknown_fields`.
///
/// # Errors
/// The file is not there or not TOML; a key or a variable that does not exist; a value that does not
/// fit. The message names the key, its source and what was expected.
pub fn load_config<C>(service: &str, file: Option<&Path>) -> Result<C, ConfigError>
where
    C: Serialize + DeserializeOwned + Default,
{
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        // What is not Unicode becomes a value that no field takes, and is named by its error.
        Some((name, value.to_string_lossy().into_owned()))
    });
    load_config_from(service, file, environment)
}

/// [`load_config`] with the environment as an argument.
///
/// # Errors
/// As [`load_config`].
pub fn load_config_from<C>(
    service: &str,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<C, ConfigError>
where
    C: Serialize + DeserializeOwned + Default,
{
    load(service, file.map(|file| TomlFile::read(file, None)).transpose()?, environment)
}

/// [`load_config_from`] with a file for several services, which has a table for each of them, by its name.
///
/// # Errors
/// As [`load_config`].
pub fn load_part_from<C>(
    service: &str,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<C, ConfigError>
where
    C: Serialize + DeserializeOwned + Default,
{
    load(service, file.map(|file| TomlFile::read(file, Some(service))).transpose()?, environment)
}

/// Refuses a file for several services that has something for nobody.
///
/// # Errors
/// What is not for one of these services, and that the file cannot be read or is no TOML.
pub fn check_parts(file: &Path, services: &[&str]) -> Result<(), ConfigError> {
    let toml = TomlFile::read(file, None)?;
    let data = toml.data().map_err(|error| toml.wrong(&error))?;
    for (name, value) in data.values().flatten() {
        if !services.contains(&name.as_str()) || value.as_dict().is_none() {
            return Err(toml.wrong(&format!(
                "`{name}` is no table of a service; there are {}",
                services.iter().map(|service| format!("`[{service}]`")).collect::<Vec<_>>().join(", ")
            )));
        }
    }
    Ok(())
}

fn load<C>(
    service: &str,
    file: Option<TomlFile>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<C, ConfigError>
where
    C: Serialize + DeserializeOwned + Default,
{
    let defaults = serde_json::to_value(C::default())
        .map_err(|error| ConfigError(format!("the default settings of {service}: {error}")))?;
    let mut figment = Figment::from(Serialized::defaults(&defaults));
    if let Some(file) = file {
        figment = figment.merge(file);
    }
    let leaves = leaves(&defaults);
    let prefix = prefix(service);
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(&prefix) else { continue };
        let Some(leaf) = leaves.iter().find(|leaf| leaf.path.join("_").eq_ignore_ascii_case(rest)) else {
            let known: Vec<_> = leaves.iter().map(|leaf| leaf.variable(service)).collect();
            return Err(ConfigError(format!(
                "the environment variable {name} is no setting of {service}; there are {}",
                known.join(", ")
            )));
        };
        figment = leaf.set(figment, &name, &text, |figment| figment.extract::<C>().is_ok());
    }
    let config = figment.extract::<C>().map_err(|error| describe(service, &error))?;
    if let Ok(http) = figment.extract_inner::<HttpConfig>("http") {
        http.check()?;
    }
    Ok(config)
}

impl Leaf<'_> {
    /// The text of a variable as the field wants it: the default's type says whether `8001` is a
    /// number or a text. An absent default says nothing, so there both are tried.
    fn set(&self, figment: Figment, name: &str, text: &str, fits: impl Fn(&Figment) -> bool) -> Figment {
        let variable = |value: Value| Variable { name: name.to_owned(), path: self.path.clone(), value };
        let parsed = || {
            let mut value = text.parse::<Value>().unwrap_or_else(|never| match never {});
            with_whole_numbers(&mut value);
            value
        };
        match self.default {
            serde_json::Value::String(_) => figment.merge(variable(Value::from(text))),
            serde_json::Value::Array(_) if !text.trim_start().starts_with('[') => {
                let items: Vec<Value> =
                    text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Value::from).collect();
                figment.merge(variable(Value::from(items)))
            }
            // What may be absent is absent when its variable is empty, as compose files write it.
            serde_json::Value::Null if text.is_empty() => {
                figment.merge(variable(Value::from(figment::value::Empty::None)))
            }
            serde_json::Value::Null => {
                let as_text = figment.clone().merge(variable(Value::from(text)));
                if fits(&as_text) { as_text } else { figment.merge(variable(parsed())) }
            }
            _ => figment.merge(variable(parsed())),
        }
    }
}

/// One environment variable as a source of its own, so that an error names it.
struct Variable {
    name: String,
    path: Vec<String>,
    value: Value,
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("the environment variable {}", self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.path.join("."), self.value.clone());
        Ok(nested.into_dict().unwrap_or_default()).map(|dict| Profile::Default.collect(dict))
    }
}

/// A settings file, named by its path in errors.
struct TomlFile {
    path: PathBuf,
    text: String,
    /// The table that counts, where not all of it does.
    part: Option<String>,
}

impl TomlFile {
    fn read(path: &Path, part: Option<&str>) -> Result<Self, ConfigError> {
        let file = Self { path: path.to_owned(), text: String::new(), part: part.map(str::to_owned) };
        let bytes = std::fs::read(path).map_err(|error| file.wrong(&error))?;
        let text = json_input::text(&bytes).map_err(|error| file.wrong(&error))?.to_owned();
        Ok(Self { text, ..file })
    }

    fn wrong(&self, error: &dyn fmt::Display) -> ConfigError {
        ConfigError(format!("the settings file {}: {error}", self.path.display()))
    }
}

impl Provider for TomlFile {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("the file {}", self.path.display()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut data = Toml::string(&self.text).data()?;
        data.values_mut().flat_map(Dict::values_mut).for_each(with_whole_numbers);
        if let Some(part) = &self.part {
            for dict in data.values_mut() {
                *dict = dict.remove(part).and_then(Value::into_dict).unwrap_or_default();
            }
        }
        Ok(data)
    }
}

/// `3.0` is 3, as it is in JSON; a setting with a fraction takes both.
fn with_whole_numbers(value: &mut Value) {
    match value {
        Value::Num(tag, Num::F64(number)) => {
            if let Some(whole) = json_input::whole(*number) {
                *value = Value::Num(*tag, Num::I64(whole));
            }
        }
        Value::Array(_, items) => items.iter_mut().for_each(with_whole_numbers),
        Value::Dict(_, dict) => dict.values_mut().for_each(with_whole_numbers),
        _ => {}
    }
}

fn describe(service: &str, error: &figment::Error) -> ConfigError {
    let source = error.metadata.as_ref().map_or_else(|| "the settings".to_owned(), |m| m.name.to_string());
    let key = error.path.join(".");
    let what = match &error.kind {
        Kind::UnknownField(field, expected) => {
            let place = if key.is_empty() || key == *field || key.ends_with(&format!(".{field}")) {
                if key.is_empty() { field.clone() } else { key.clone() }
            } else {
                format!("{key}.{field}")
            };
            return ConfigError(format!(
                "{service}: `{place}` in {source} is no setting; there are {}",
                expected.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ));
        }
        kind => json_input::in_words(&kind.to_string()),
    };
    if key.is_empty() {
        ConfigError(format!("{service}: {source}: {what}"))
    } else {
        ConfigError(format!("{service}: `{key}` in {source}: {what}"))
    }
}

/// A key that is empty or has blanks or control characters can never be sent in a header.
fn api_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let keys = Vec::<String>::deserialize(deserializer)?;
    // Never quote a key: this text reaches the terminal and the log.
    match keys.iter().position(|key| key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic())) {
        Some(index) => Err(serde::de::Error::custom(format!(
            "key number {} is empty or has characters other than visible ASCII",
            index + 1
        ))),
        None => Ok(keys),
    }
}

/// An address and a port, as `127.0.0.1:8001` or `localhost:8001`. A name is looked up; of several addresses the first
/// of IPv4 counts, since that is where most callers look for `localhost`.
///
/// # Errors
/// It is none, or the name has no address.
pub fn parse_address(text: &str) -> Result<SocketAddr, ConfigError> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let expected = |why: String| {
        ConfigError(format!(
            "expected an address and a port, such as 127.0.0.1:8001, [::1]:8001 or localhost:8001, found `{text}`{why}"
        ))
    };
    let name_and_port = text.rsplit_once(':').filter(|(name, port)| {
        matches!(Host::parse(name), Some(Host::Name(_))) && !name.contains(':') && port.parse::<u16>().is_ok()
    });
    let Some((name, port)) = name_and_port else { return Err(expected(String::new())) };
    if name.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
        return parse_address(&format!("127.0.0.1:{port}")); // without asking a name server
    }
    let found: Vec<_> = text.to_socket_addrs().map_err(|error| expected(format!(": {error}")))?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| expected(": the name has no address".to_owned()))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse_address(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// A name with a scheme or a pattern would never be the `Host` of a request.
fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    match names.iter().find(|name| Host::parse(name).is_none()) {
        Some(name) => Err(serde::de::Error::custom(format!(
            "`{name}` is no host: expected a name or an address without scheme and path, such as `mesh.example`"
        ))),
        None => Ok(names),
    }
}

/// Origins as a browser writes them (RFC 6454, section 6.2).
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(deserializer)?;
    match origins.iter().find(|origin| cors::read(origin).is_none()) {
        Some(origin) => Err(serde::de::Error::custom(format!(
            "`{origin}` is no origin: expected a scheme and a host without a path, such as `https://mesh.example`"
        ))),
        None => Ok(origins),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        http: HttpConfig,
        remembrancer_url: String,
        data_dir: Option<PathBuf>,
        threads: Option<u32>,
    }

    impl Default for Config {
        fn default() -> Self {
            Self {
                http: HttpConfig::on_port(8001),
                remembrancer_url: "http://127.0.0.1:8002".into(),
                data_dir: None,
                threads: None,
            }
        }
    }

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        load_config_from("psi-field", Some(file.path()), environment)
            .map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn the_environment_beats_the_file_and_the_file_beats_the_defaults() {
        let config = load(
            "threads = 3\nremembrancer_url = \"http://file\"\n[http]\nrequest_timeout_seconds = 5",
            &[
                ("AI_MESH_PSI_FIELD_REMEMBRANCER_URL", "http://environment"),
                ("AI_MESH_PSI_FIELD_HTTP_API_KEYS", "one, 2"),
                ("AI_MESH_PSI_FIELD_DATA_DIR", "/srv/1"),
                ("AI_MESH_TRAINER_NOT_OURS", "x"),
            ],
        )
        .unwrap();
        assert_eq!(config.remembrancer_url, "http://environment");
        assert_eq!(config.threads, Some(3));
        assert_eq!(config.data_dir.as_deref(), Some(Path::new("/srv/1")));
        assert_eq!(config.http.request_timeout_seconds, 5);
        assert_eq!(config.http.api_keys, ["one", "2"]);
        assert_eq!(config.http.bind.port(), 8001);
    }

    #[test]
    fn an_optional_text_may_look_like_a_number_and_an_optional_number_is_one() {
        let config =
            load("", &[("AI_MESH_PSI_FIELD_DATA_DIR", "17"), ("AI_MESH_PSI_FIELD_THREADS", "17")]).unwrap();
        assert_eq!(config.data_dir.as_deref(), Some(Path::new("17")));
        assert_eq!(config.threads, Some(17));
    }

    #[test]
    fn an_empty_variable_of_something_optional_means_that_it_is_absent() {
        let file = "data_dir = \"/srv\"\nthreads = 3";
        let config =
            load(file, &[("AI_MESH_PSI_FIELD_DATA_DIR", ""), ("AI_MESH_PSI_FIELD_THREADS", "")]).unwrap();
        assert_eq!((config.data_dir, config.threads), (None, None));
    }

    #[test]
    fn an_error_names_the_key_its_source_and_what_was_expected() {
        for wrong in ["localhost", "8001", ":8001", "http://localhost:8001", "localhost:http", "::1:8001", ""]
        {
            let error = load("", &[("AI_MESH_PSI_FIELD_HTTP_BIND", wrong)]).unwrap_err();
            assert!(error.contains("`http.bind`") && error.contains("localhost:8001"), "{wrong}: {error}");
        }
        let error = load("", &[("AI_MESH_PSI_FIELD_HTTP_BIND", "localhost")]).unwrap_err();
        assert!(error.contains("`http.bind`"), "{error}");
        assert!(error.contains("AI_MESH_PSI_FIELD_HTTP_BIND"), "{error}");
        assert!(error.contains("an address and a port"), "{error}");

        let error = load("threads = \"many\"", &[]).unwrap_err();
        assert!(error.contains("`threads` in the file FILE"), "{error}");
        assert!(error.contains("expected a whole number, found the string \"many\""), "{error}");

        let error = load("[http]\nbody_limit = 5", &[]).unwrap_err();
        assert!(error.contains("`http.body_limit` in the file FILE is no setting"), "{error}");
        assert!(error.contains("`body_limit_bytes`"), "{error}");

        let error = load("", &[("AI_MESH_PSI_FIELD_HTTP_PORT", "1")]).unwrap_err();
        assert!(error.contains("AI_MESH_PSI_FIELD_HTTP_PORT is no setting"), "{error}");
        assert!(error.contains("AI_MESH_PSI_FIELD_HTTP_BIND"), "{error}");

        let error = load("threads = [", &[]).unwrap_err();
        assert!(error.contains("the file FILE"), "{error}");
    }

    #[test]
    fn an_address_may_be_a_name() {
        for (text, address) in [
            ("localhost:8001", "127.0.0.1:8001"),
            ("LOCALHOST.:0", "127.0.0.1:0"),
            (" 127.0.0.1:8001\r", "127.0.0.1:8001"),
            ("[::1]:8001", "[::1]:8001"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), address, "{text}");
        }
        let config = load("http.bind = \"localhost:9000\"", &[]).unwrap();
        assert_eq!(config.http.bind.to_string(), "127.0.0.1:9000");
    }

    #[test]
    fn a_file_may_have_been_saved_anywhere() {
        let config = load("\u{feff}threads = 3.0\r\n[http]\r\nburst = 2e0\r\n", &[]).unwrap();
        assert_eq!((config.threads, config.http.burst), (Some(3), 2));
        assert!(load("threads = 3.5", &[]).unwrap_err().contains("whole number, found 3.5"));
        let config =
            load("", &[("AI_MESH_PSI_FIELD_HTTP_BURST", "4.0"), ("AI_MESH_PSI_FIELD_THREADS", "5.0")])
                .unwrap();
        assert_eq!((config.threads, config.http.burst), (Some(5), 4));
    }

    #[test]
    fn a_settings_file_that_is_not_there_is_named() {
        let file = Path::new("/nowhere/settings.toml");
        let error = load_config_from::<Config>("trainer", Some(file), []).unwrap_err();
        assert!(error.to_string().contains("/nowhere/settings.toml"), "{error}");
    }

    #[test]
    fn binding_for_others_needs_keys_or_the_explicit_wish() {
        let bind = ("AI_MESH_PSI_FIELD_HTTP_BIND", "0.0.0.0:8000");
        let error = load("", &[bind]).unwrap_err();
        assert!(error.contains("http.allow_insecure_bind"), "{error}");
        assert!(load("", &[bind, ("AI_MESH_PSI_FIELD_HTTP_ALLOW_INSECURE_BIND", "true")]).is_ok());
        assert!(load("", &[bind, ("AI_MESH_PSI_FIELD_HTTP_API_KEYS", "k1")]).is_ok());
    }

    #[test]
    fn keys_are_in_no_error_and_in_no_debug_output() {
        let error = load("", &[("AI_MESH_PSI_FIELD_HTTP_API_KEYS", "[\"geheim schluessel\"]")]).unwrap_err();
        assert!(!error.contains("geheim"), "{error}");
        assert!(error.contains("key number 1"), "{error}");
        let config = load("", &[("AI_MESH_PSI_FIELD_HTTP_API_KEYS", "geheim")]).unwrap();
        assert!(!format!("{config:?}").contains("geheim"));
    }
}
