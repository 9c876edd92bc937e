//! Record kinds and what a record is found by.
#![no_main]

use api::remembrancer::RecordKind;
use libfuzzer_sys::fuzz_target;
use records::SearchText;

fuzz_target!(|input: (&str, &str)| {
    let (kind, subject) = input;
    let Ok(kind) = kind.parse::<RecordKind>() else { return };
    assert_eq!(kind.as_str(), input.0);
    assert!(kind.as_str().len() <= RecordKind::MAX_LENGTH);
    assert!(kind.includes(&kind));
    let text = SearchText::new(&kind, subject);
    assert!(text.heading.starts_with(kind.as_str()) && text.heading.contains(subject));
    assert!(text.heading.len() <= 2 * (kind.as_str().len() + subject.len()) + 3);
    assert!(!text.description.is_empty());
});
