//! The file (C2SP tlog-policy, "Policy file syntax and structure").

use std::collections::BTreeMap;

use super::{Group, KnownLog, KnownWitness, Member, TrustPolicy};
use crate::{
    cosignature::WitnessKey,
    note::{KeyError, VerifierKey},
};

/// The name that stands for no quorum, and for nothing else.
const NONE: &[u8] = b"none";

/// A file is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {problem}")]
pub struct PolicyError {
    /// The line, from 1; the last one when something is missing.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A byte that no policy has.
    #[error("expected no control characters but tabs and newlines, got the byte {0:#04x}")]
    Byte(u8),
    /// No line begins so.
    #[error("expected `log`, `witness`, `group` or `quorum`, got {0:?}")]
    Keyword(String),
    /// A line has another form.
    #[error("expected `{0}`")]
    Form(&'static str),
    /// A key is none, or of another use.
    #[error("the key: {0}")]
    Key(KeyError),
    /// Two lines have one key.
    #[error("this key is on line {0} already")]
    SameKey(usize),
    /// Two lines have one name.
    #[error("the name {0:?} is defined already")]
    SameName(String),
    /// The name means that there is no quorum.
    #[error("the name `none` stands for no quorum, and cannot be defined or be a member")]
    Reserved,
    /// No line before defines the name.
    #[error("no line before defines {0:?}")]
    Undefined(String),
    /// A name would count twice.
    #[error("{0:?} is the member of a group already: it may count once")]
    CountsTwice(String),
    /// The number of members that are needed.
    #[error("expected `all`, `any`, or a number from 1 to {members}, got {actual:?}")]
    Threshold {
        /// How many members the group has.
        members: usize,
        /// What stands there.
        actual: String,
    },
    /// There is not exactly one quorum.
    #[error("expected exactly one line with `quorum`")]
    Quorum,
}

impl TrustPolicy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// A line is not as it should be, or there is no quorum.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyError> {
        let mut reader = Reader::default();
        let mut line = 1;
        for (number, bytes) in (1..).zip(file.split(|byte| *byte == b'\n')) {
            if !bytes.is_empty() {
                line = number;
            }
            reader.read(number, bytes).map_err(|problem| PolicyError { line: number, problem })?;
        }
        let Reader { logs, witnesses, groups, quorum, .. } = reader;
        let quorum = quorum.ok_or(PolicyError { line, problem: Problem::Quorum })?;
        let (logs, witnesses) = (without_lines(logs), without_lines(witnesses));
        Ok(Self { logs, witnesses, groups, quorum })
    }
}

/// What was read until now.
#[derive(Default)]
struct Reader {
    /// With the lines that they are on.
    logs: Vec<(usize, KnownLog)>,
    witnesses: Vec<(usize, KnownWitness)>,
    groups: Vec<Group>,
    quorum: Option<Option<Member>>,
    /// Names are opaque bytes, and witnesses and groups share them.
    names: BTreeMap<Vec<u8>, Named>,
}

struct Named {
    member: Member,
    /// Whether it is a member of a group.
    counted: bool,
}

impl Reader {
    fn read(&mut self, number: usize, line: &[u8]) -> Result<(), Problem> {
        if let Some(byte) = line.iter().find(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
            return Err(Problem::Byte(*byte));
        }
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let items: Vec<&[u8]> = line.split(blank).filter(|item| !item.is_empty()).collect();
        match &items[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", rest @ ..] => self.log(number, rest),
            [b"witness", rest @ ..] => self.witness(number, rest),
            [b"group", rest @ ..] => self.group(rest),
            [b"quorum", rest @ ..] => self.quorum(rest),
            [other, ..] => Err(Problem::Keyword(text(other))),
        }
    }

    fn log(&mut self, number: usize, items: &[&[u8]]) -> Result<(), Problem> {
        let (key, url) = match items {
            [key] => (key, None),
            [key, url] => (key, Some(text(url))),
            _ => return Err(Problem::Form("log <verifier key> [<url>]")),
        };
        let key = VerifierKey::parse(&text(key)).map_err(Problem::Key)?;
        let same = self.logs.iter().find(|(_, log)| log.key.public_key() == key.public_key());
        if let Some((line, _)) = same {
            return Err(Problem::SameKey(*line));
        }
        self.logs.push((number, KnownLog { key, url }));
        Ok(())
    }

    fn witness(&mut self, number: usize, items: &[&[u8]]) -> Result<(), Problem> {
        let (name, key, url) = match items {
            [name, key] => (name, key, None),
            [name, key, url] => (name, key, Some(text(url))),
            _ => return Err(Problem::Form("witness <name> <verifier key> [<url>]")),
        };
        let key = WitnessKey::parse(&text(key)).map_err(Problem::Key)?;
        let same = self.witnesses.iter().find(|(_, known)| known.key.public_key() == key.public_key());
        if let Some((line, _)) = same {
            return Err(Problem::SameKey(*line));
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push((number, KnownWitness { name: text(name), key, url }));
        Ok(())
    }

    fn group(&mut self, items: &[&[u8]]) -> Result<(), Problem> {
        let [name, threshold, names @ ..] = items else {
            return Err(Problem::Form("group <name> <all, any or a number> <member>..."));
        };
        if names.is_empty() {
            return Err(Problem::Form("group <name> <all, any or a number> <member>..."));
        }
        let needed = match *threshold {
            b"all" => Some(names.len()),
            b"any" => Some(1),
            digits if digits.iter().all(u8::is_ascii_digit) => text(digits).parse().ok(),
            _ => None,
        };
        let needed = needed
            .filter(|needed| (1..=names.len()).contains(needed))
            .ok_or_else(|| Problem::Threshold { members: names.len(), actual: text(threshold) })?;
        let mut members = Vec::with_capacity(names.len());
        for member in names {
            let named = self.named(member)?;
            if std::mem::replace(&mut named.counted, true) {
                return Err(Problem::CountsTwice(text(member)));
            }
            members.push(named.member);
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { name: text(name), threshold: needed, members });
        Ok(())
    }

    fn quorum(&mut self, items: &[&[u8]]) -> Result<(), Problem> {
        let [name] = items else { return Err(Problem::Form("quorum <name>")) };
        let quorum = if *name == NONE { None } else { Some(self.named(name)?.member) };
        match self.quorum.replace(quorum) {
            None => Ok(()),
            Some(_) => Err(Problem::Quorum),
        }
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<(), Problem> {
        if name == NONE {
            return Err(Problem::Reserved);
        }
        match self.names.insert(name.to_vec(), Named { member, counted: false }) {
            None => Ok(()),
            Some(_) => Err(Problem::SameName(text(name))),
        }
    }

    fn named(&mut self, name: &[u8]) -> Result<&mut Named, Problem> {
        if name == NONE {
            return Err(Problem::Reserved);
        }
        self.names.get_mut(name).ok_or_else(|| Problem::Undefined(text(name)))
    }
}

fn without_lines<T>(numbered: Vec<(usize, T)>) -> Vec<T> {
    numbered.into_iter().map(|(_, item)| item).collect()
}

/// Bytes as they can be shown. A key or a name that is compared is UTF-8, or is compared as bytes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
