use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use rand::{TryRng as _, rngs::SysRng};
use serde::Serialize;
use service_kit::{
    Scope,
    api_keys::{self, ApiKey},
};

use crate::{
    exit::{Answer, usage},
    files,
    output::{note, say, say_json, table},
};

/// Make keys that callers of the services need, with names and scopes, and take them back
///
/// A service whose setting `http.api_key_file` names the file lets in who has one of its keys, and reads it again within a
/// second of a change. The file has no secrets, only their hashes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh api-key create --name ci --scope read,write --file keys.toml
  mesh api-key list --file keys.toml
  mesh api-key revoke --name ci --file keys.toml")]
pub(crate) struct ApiKeys {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a key, and print it: it is shown only this once
///
/// The file is made when it is not there. No scope contains another one: who is to start runs and to look at them needs
/// `read,write`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh api-key create --name ci --scope read,write --file keys.toml
  mesh api-key create --name prometheus --scope metrics --file keys.toml > metrics-key")]
struct Create {
    /// Whose key it is, as the log and errors are to say: letters, digits, `-`, `_`, `.` and `@`
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it may do, with commas between: `read` (look at everything), `write` (work: runs, decisions, outcomes, windows,
    /// records, evaluations), `operate` (cancel and delete, promote, roll back and stop, exclude, intervene by hand),
    /// `metrics` (read /metrics alone)
    #[arg(long = "scope", value_name = "SCOPES", required = true, value_delimiter = ',', hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Scope::ALL.map(Scope::name)))]
    scopes: Vec<String>,
    #[command(flatten)]
    file: File,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// List the names of a file's keys, and what each may do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh api-key list --file keys.toml
  mesh api-key list --file keys.toml --json")]
struct List {
    #[command(flatten)]
    file: File,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Take a key back: services refuse it within a second
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh api-key revoke --name ci --file keys.toml")]
struct Revoke {
    /// Whose key it is
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, Args)]
struct File {
    /// The file of the keys, the services' `http.api_key_file`
    #[arg(long = "file", value_name = "FILE", env = "MESH_API_KEY_FILE")]
    path: PathBuf,
}

/// The answer of `mesh api-key create --json`.
#[derive(Serialize)]
struct Created<'a> {
    name: &'a str,
    scopes: &'a BTreeSet<Scope>,
    api_key: &'a str,
}

/// A key in the answer of `mesh api-key list --json`.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    scopes: &'a BTreeSet<Scope>,
}

impl ApiKeys {
    /// Does it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        match self.what {
            What::Create(create) => create.run(),
            What::List(list) => list.run(),
            What::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Create {
    fn run(self) -> anyhow::Result<Answer> {
        let mut keys = if self.file.path.exists() { self.file.read()? } else { Vec::new() };
        if keys.iter().any(|key| key.name == self.name) {
            return Err(usage(format!(
                "--name: there is a key `{}` in {}; choose another name, or take that one back with `mesh api-key revoke`",
                self.name,
                self.file.path.display()
            )));
        }
        let secret = new_secret()?;
        let scopes = self.scopes.iter().filter_map(|name| Scope::parse(name)).collect();
        let key =
            ApiKey::of(&secret, &self.name, scopes).map_err(|error| usage(format!("--name: {error}")))?;
        keys.push(key.clone());
        self.file.write(&keys)?;
        if self.json {
            say_json(&Created { name: &key.name, scopes: &key.scopes, api_key: &secret })?;
        } else {
            say(&secret)?;
            note(&format!("the key `{}` is shown only this once: the file has its hash alone", key.name));
        }
        Ok(Answer::Yes)
    }
}

impl List {
    fn run(self) -> anyhow::Result<Answer> {
        let keys = self.file.read()?;
        if self.json {
            let keys: Vec<_> =
                keys.iter().map(|key| Listed { name: &key.name, scopes: &key.scopes }).collect();
            say_json(&serde_json::json!({ "keys": keys }))?;
        } else {
            let row = |key: &ApiKey| vec![key.name.clone(), names(&key.scopes)];
            say(&table(&["name", "scopes"], keys.iter().map(row)))?;
        }
        Ok(Answer::Yes)
    }
}

impl Revoke {
    fn run(self) -> anyhow::Result<Answer> {
        let mut keys = self.file.read()?;
        let before = keys.len();
        keys.retain(|key| key.name != self.name);
        if keys.len() == before {
            let path = self.file.path.display();
            return Err(usage(format!("--name: there is no key `{}` in {path}", self.name)));
        }
        self.file.write(&keys)?;
        note(&format!("the key `{}` is no longer in {}", self.name, self.file.path.display()));
        Ok(Answer::Yes)
    }
}

impl File {
    fn read(&self) -> anyhow::Result<Vec<ApiKey>> {
        api_keys::read(&self.path).map_err(|error| usage(format!("--file: {}: {error}", self.path.display())))
    }

    /// In one piece, so that no service sees half of it.
    fn write(&self, keys: &[ApiKey]) -> anyhow::Result<()> {
        files::write(&self.path, api_keys::to_text(keys).as_bytes())
    }
}

/// A key that nobody can guess.
pub(crate) fn new_secret() -> anyhow::Result<String> {
    let mut random = [0; 32];
    SysRng.try_fill_bytes(&mut random).context("the system's randomness cannot be had")?;
    Ok(api_keys::secret(&random))
}

fn names(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",")
}
