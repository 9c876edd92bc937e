use std::{collections::BTreeMap, fmt::Write as _};

use super::{REGENERATE, assert_up_to_date};
use crate::support::{file, path};

const FOLDER: &str = "docs/adr";

#[test]
fn the_index_of_the_decisions_names_each_with_its_date_and_status() {
    let mut text = format!(
        "# Architecture decisions\n\n<!-- Written by `{REGENERATE}` from the files beside it. -->\n\n\
         Decisions that were hard, each with what it was weighed against and what follows from it. They are not changed \
         afterwards, but for their status: a decision that no longer holds is superseded by another one.\n\n\
         | | decision | date | status |\n|---|---|---|---|\n"
    );
    for (file, decision) in decisions() {
        let Decision { number, title, date, status } = decision;
        let _ = writeln!(text, "| {number} | [{title}]({file}) | {date} | {status} |");
    }
    assert_up_to_date("docs/adr/README.md", &text);
}

#[test]
fn a_decision_is_accepted_or_superseded_by_another_one_that_it_names() {
    let decisions = decisions();
    for (file, Decision { status, .. }) in &decisions {
        let other =
            status.strip_prefix("superseded by ").or(status.strip_prefix("accepted, in part superseded by "));
        let is_named = |text: &str| {
            decisions.iter().any(|(other, decision)| text == format!("[ADR {}]({other})", decision.number))
        };
        assert!(
            other.map_or(status == "accepted", is_named),
            "{file}: Status is `{status}`; expected `accepted` or `superseded by [ADR NUMBER](FILE)`"
        );
    }
}

/// What stands at the top of a decision.
struct Decision {
    number: String,
    title: String,
    date: String,
    status: String,
}

/// The decisions by their files' names.
fn decisions() -> BTreeMap<String, Decision> {
    let entries = std::fs::read_dir(path(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name != "README.md").map(|name| (name.clone(), decision(&name))).collect()
}

fn decision(name: &str) -> Decision {
    let text = file(&format!("{FOLDER}/{name}"));
    let line = |prefix: &str| {
        let line = text.lines().take(6).find_map(|line| line.strip_prefix(prefix));
        line.unwrap_or_else(|| panic!("{FOLDER}/{name}: no line near its top begins with `{prefix}`"))
            .to_owned()
    };
    let title = line("# ");
    let (number, title) =
        title.split_once(". ").unwrap_or_else(|| panic!("{FOLDER}/{name}: its title has no number"));
    assert_eq!(
        name.split('-').next().unwrap().trim_start_matches('0'),
        number,
        "{FOLDER}/{name}: another number"
    );
    Decision { number: number.into(), title: title.into(), date: line("Date: "), status: line("Status: ") }
}
