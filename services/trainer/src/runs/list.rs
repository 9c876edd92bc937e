//! Finding runs among all of them.

use std::sync::Arc;

use api::trainer::RunQuery;
use uuid::Uuid;

use super::Runs;
use crate::run::Run;

impl Runs {
    /// Up to `limit` of the runs that are looked for, the newest first, from the one after `after` on.
    #[must_use]
    pub fn list(&self, query: &RunQuery, after: Option<Uuid>, limit: usize) -> Vec<Arc<Run>> {
        let wanted = Wanted::new(query);
        let table = self.table();
        table.by_id.newest_first(after).filter(|run| wanted.is(run)).take(limit).cloned().collect()
    }
}

/// What is looked for.
struct Wanted<'a> {
    query: &'a RunQuery,
    /// In lower case.
    words: Vec<String>,
}

impl<'a> Wanted<'a> {
    fn new(query: &'a RunQuery) -> Self {
        let words = query.q.iter().flat_map(|q| q.split_whitespace()).map(str::to_lowercase).collect();
        Self { query, words }
    }

    fn is(&self, run: &Run) -> bool {
        let RunQuery { status, tag, name, algorithm, preset, from, until, .. } = self.query;
        let created = run.created_at();
        let preset_of_run = run.config.environment.preset.as_deref().unwrap_or("default");
        if algorithm.as_ref().is_some_and(|wanted| wanted != run.config.algorithm_name())
            || preset.as_deref().is_some_and(|wanted| wanted != preset_of_run)
            || from.is_some_and(|from| created < from)
            || until.is_some_and(|until| created >= until)
        {
            return false;
        }
        let state = run.state();
        status.is_none_or(|wanted| wanted == state.status)
            && tag.as_ref().is_none_or(|wanted| state.labels.tags.contains(wanted))
            && name.as_ref().is_none_or(|wanted| state.labels.name.as_ref() == Some(wanted))
            && self.has_words(run, &state.labels)
    }

    fn has_words(&self, run: &Run, labels: &api::trainer::Labels) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let mut texts: Vec<String> = labels.tags.iter().map(|tag| tag.to_lowercase()).collect();
        texts.extend(labels.name.iter().chain(&labels.notes).map(|text| text.to_lowercase()));
        let (id, digest) = (run.id.to_string(), run.digest.to_string());
        self.words.iter().all(|word| {
            id.starts_with(word) || digest.starts_with(word) || texts.iter().any(|text| text.contains(word))
        })
    }
}

#[cfg(test)]
mod tests {
    use api::{
        Hash,
        trainer::{EnvironmentSpec, NewRun},
    };

    use super::*;

    /// RFC 9562, appendix A.6: the UUIDv7 of 2022-02-22, 19:22:22 UTC.
    const ID: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

    fn found(query: &str) -> bool {
        let environment = EnvironmentSpec { preset: Some("steady".into()), ..EnvironmentSpec::default() };
        let run = NewRun {
            algorithm: Some("q-learning".into()),
            environment,
            name: Some("Without Replay".into()),
            tags: vec!["paper".into(), "ablation".into()],
            notes: Some("Slower at first.\nÄhnlich gut am Ende.".into()),
            ..NewRun::default()
        };
        let run = Run::new(ID.parse().unwrap(), Hash([0xab; 32]), run);
        Wanted::new(&serde_json::from_str(query).unwrap()).is(&run)
    }

    #[test]
    fn a_run_is_found_by_what_it_is_and_by_what_it_is_called() {
        for (query, expected) in [
            (r#"{}"#, true),
            (r#"{"tag":"paper"}"#, true),
            (r#"{"tag":"pap"}"#, false),
            (r#"{"name":"Without Replay"}"#, true),
            (r#"{"name":"without replay"}"#, false),
            (r#"{"algorithm":"q-learning","preset":"steady"}"#, true),
            (r#"{"preset":"default"}"#, false),
            (r#"{"algorithm":"cheapest"}"#, false),
            (r#"{"status":"queued"}"#, true),
            (r#"{"status":"paused"}"#, false),
            (r#"{"tag":"paper","status":"paused"}"#, false),
            (r#"{"q":"replay SLOW"}"#, true),
            (r#"{"q":"replay fast"}"#, false),
            (r#"{"q":"ähnlich"}"#, true),
            (r#"{"q":"017f22e2 abab"}"#, true),
            (r#"{"q":"7f22e2"}"#, false),
            (r#"{"from":"2022-02-22T19:22:22Z","until":"2022-02-22T19:22:23Z"}"#, true),
            (r#"{"from":"2022-02-22T19:22:23Z"}"#, false),
            (r#"{"until":"2022-02-22T19:22:22Z"}"#, false),
        ] {
            assert_eq!(found(query), expected, "{query}");
        }
    }

    #[test]
    fn a_run_that_names_no_preset_is_in_the_default_one() {
        let run = NewRun { environment: EnvironmentSpec::default(), ..NewRun::default() };
        let run = Run::new(ID.parse().unwrap(), Hash([0; 32]), run);
        let query = RunQuery { preset: Some("default".into()), ..RunQuery::default() };
        assert!(Wanted::new(&query).is(&run));
    }
}
