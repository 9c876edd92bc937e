//! What a leaf of the log says, for people: which decision or record it is, of whom, and when.

use std::fmt;

use api::remembrancer::{Action, Decision, RecordKind};
use serde::{Deserialize, de::IgnoredAny};

/// A leaf's text, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// A decision of a run.
    Decision(Box<Decision>),
    /// Any other record.
    Record(RecordLeaf),
}

/// A record without its content.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLeaf {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub kind: RecordKind,
    /// The thing that it is about.
    pub subject: String,
    /// When it was first recorded.
    pub recorded_at: String,
    #[serde(rename = "body")]
    _body: IgnoredAny,
}

impl Leaf {
    /// Reads a leaf's text; `None` when it is neither a decision nor a record that this program knows.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let decision = serde_json::from_str(text).map(|decision| Self::Decision(Box::new(decision)));
        decision.or_else(|_| serde_json::from_str(text).map(Self::Record)).ok()
    }

    /// What a leaf's text says, also when it is not known.
    #[must_use]
    pub fn describe(text: &str) -> String {
        Self::read(text)
            .map_or_else(|| "a record of a form that is not known here".into(), |leaf| leaf.to_string())
    }
}

impl fmt::Display for Leaf {
    /// What others wrote is escaped: a text may not command the terminal that it is shown on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decision(decision) => {
                let Decision { run, sequence, episode, step, agent, tenant, .. } = &**decision;
                write!(
                    f,
                    "decision {sequence} of run {run}, by agent {agent} for {} in episode {episode}, step {step}: ",
                    tenant.escape_debug()
                )?;
                match (decision.action, &decision.provider) {
                    (Action::Route, Some(provider)) => write!(f, "route to {}", provider.escape_debug()),
                    (Action::Route, None) => f.write_str("route"),
                    (Action::Hold, _) => f.write_str("hold"),
                    (Action::Drop, _) => f.write_str("drop"),
                }
            }
            Self::Record(RecordLeaf { id, kind, subject, recorded_at, .. }) => write!(
                f,
                "record {} ({kind}) about {}, recorded at {}",
                id.escape_debug(),
                subject.escape_debug(),
                recorded_at.escape_debug()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_by_its_id_kind_subject_and_time() {
        let text = r#"{"body":{"x":1},"id":"a\u001b[2J","kind":"note","recorded_at":"2026-03-01T00:00:00Z","subject":"s"}"#;
        assert_eq!(
            Leaf::describe(text),
            "record a\\u{1b}[2J (note) about s, recorded at 2026-03-01T00:00:00Z"
        );
    }

    #[test]
    fn a_decision_is_told_by_its_identity_and_by_who_did_what_for_whom() {
        let run = "ab".repeat(32);
        let text = format!(
            r#"{{"action":"route","agent":3,"deferred":false,"episode":1,"explored":false,"gpu_hours":1.5,"gpu_type":"H100",
            "policy_version":0,"propensity":1,"provider":"akash","reason":"ok","reward":1,"run":"{run}","sequence":7,
            "step":2,"tenant":"acme","wait_ms":0,"workload":"w"}}"#
        );
        assert_eq!(
            Leaf::describe(&text),
            format!("decision 7 of run {run}, by agent 3 for acme in episode 1, step 2: route to akash")
        );
    }

    #[test]
    fn what_is_neither_is_not_described_as_one() {
        for text in ["", "{}", "[]", r#"{"id":"a"}"#] {
            assert_eq!(Leaf::read(text), None, "{text}");
        }
    }
}
