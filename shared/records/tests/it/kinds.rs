use records::{Body as _, SearchText, deployment, note};

#[test]
fn whoever_wants_routing_decisions_finds_the_runs_and_sessions_that_made_them() {
    let found: Vec<_> = records::kinds()
        .filter(|kind| {
            let SearchText { heading, description } = SearchText::new(&kind.record_kind(), "");
            let text = format!("{heading} {description}").replace('-', " ");
            ["ai", "mesh", "routing", "decisions"]
                .iter()
                .all(|word| text.split_whitespace().any(|w| w == *word))
        })
        .map(|kind| kind.name.split('.').next().unwrap())
        .collect();
    assert!(found.iter().all(|family| ["run", "serving"].contains(family)), "{found:?}");
    assert!(found.contains(&"run") && found.contains(&"serving"), "{found:?}");
}

#[test]
fn what_a_person_records_has_an_id_that_follows_from_its_content() {
    let deployed = |component: &str, version: &str, file_name: &str| {
        let evidence =
            deployment::Evidence { sha256: api::Hash([7; 32]), size_bytes: 3, file_name: file_name.into() };
        deployment::Deployment { component: component.into(), version: version.into(), evidence }.id()
    };
    assert_eq!(deployed("a", "1", "t.log"), deployed("a", "1", "t.log"));
    for other in [deployed("b", "1", "t.log"), deployed("a", "2", "t.log"), deployed("a", "1", "u.log")] {
        assert_ne!(other, deployed("a", "1", "t.log"));
    }
    let note = |about: &str, text: &str| note::Note { about: about.into(), text: text.into() }.id();
    assert_eq!(note("a", "b"), note("a", "b"));
    assert!(note("a", "b") != note("b", "b") && note("a", "b") != note("a", "c"));
}
