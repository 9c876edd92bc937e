use std::fs;

use proptest::prelude::*;
use records::deployments::Market;

use super::*;

const DEPLOYMENT: Uuid = Uuid::from_u128(7);

fn entry_of(number: u64) -> Entry {
    Entry::Market(Market { deployment_id: DEPLOYMENT, number, providers: vec![], tenants: vec![] })
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    let number = |entry: &Entry| match entry {
        Entry::Market(market) => market.number,
        other => panic!("{other:?}"),
    };
    entries.iter().map(number).collect()
}

/// The only file of a journal with these entries.
fn written(folder: &std::path::Path, entries: std::ops::Range<u64>) -> PathBuf {
    let (mut journal, _) = Journal::open(folder, DEPLOYMENT).unwrap();
    entries.for_each(|number| journal.append(&entry_of(number)).unwrap());
    folder.join(format!("{DEPLOYMENT}.000000000000.journal"))
}

#[test]
fn what_was_appended_is_there_when_the_journal_is_opened_again_and_what_was_forgotten_is_not() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!Journal::exists(folder.path(), DEPLOYMENT).unwrap());
    written(folder.path(), 0..3);
    assert_eq!(with_entries(folder.path()).unwrap(), [DEPLOYMENT]);
    let (mut journal, entries) = Journal::open(folder.path(), DEPLOYMENT).unwrap();
    assert_eq!(numbers(&entries), [0, 1, 2]);
    assert!(matches!(Journal::open(folder.path(), DEPLOYMENT), Err(JournalError::InUse)));
    journal.append(&entry_of(3)).unwrap();
    journal.forget(3).unwrap();
    assert!(!journal.is_empty(), "the fourth is not forgotten");
    journal.forget(4).unwrap();
    assert!(journal.is_empty());
    journal.append(&entry_of(4)).unwrap();
    drop(journal);
    let (journal, entries) = Journal::open(folder.path(), DEPLOYMENT).unwrap();
    assert_eq!(numbers(&entries), [4]);
    journal.delete().unwrap();
    assert!(!Journal::exists(folder.path(), DEPLOYMENT).unwrap());
    assert!(with_entries(folder.path()).unwrap().is_empty());
}

#[test]
fn a_last_line_that_is_not_finished_is_dropped_and_the_journal_goes_on_before_it() {
    for zeros in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 0..3);
        let mut bytes = fs::read(&path).unwrap();
        if zeros {
            let end = bytes.len() - 1;
            bytes[end - 20..end].fill(0);
        } else {
            bytes.truncate(bytes.len() - 5);
        }
        fs::write(&path, bytes).unwrap();
        let (mut journal, entries) = Journal::open(folder.path(), DEPLOYMENT).unwrap();
        assert_eq!(numbers(&entries), [0, 1]);
        journal.append(&entry_of(9)).unwrap();
        drop(journal);
        assert_eq!(numbers(&Journal::open(folder.path(), DEPLOYMENT).unwrap().1), [0, 1, 9]);
    }
}

#[test]
fn a_line_that_is_not_as_it_was_written_is_refused_with_its_file_and_number() {
    let change = |change: fn(&mut Vec<String>)| {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 0..4);
        let mut lines: Vec<_> =
            fs::read_to_string(&path).unwrap().split_inclusive('\n').map(String::from).collect();
        change(&mut lines);
        fs::write(&path, lines.concat()).unwrap();
        match Journal::open(folder.path(), DEPLOYMENT) {
            Err(JournalError::Damaged { path: named, line, .. }) => {
                assert_eq!(named, path);
                line
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(change(|lines| lines[2] = lines[2].replace("\"number\":1", "\"number\":8")), 3);
    assert_eq!(
        change(|lines| lines[4] = lines[4].replace("\"number\":3", "\"number\":8")),
        5,
        "a whole last line"
    );
    assert_eq!(change(|lines| drop(lines.remove(2))), 3, "one is left out");
    assert_eq!(change(|lines| lines.swap(1, 2)), 2, "two are exchanged");
    assert_eq!(change(|lines| lines[2].truncate(30)), 3, "torn in the middle");
    assert_eq!(change(|lines| lines[0] = "ai-mesh-journal/2 x 0\n".into()), 1);
}

#[test]
fn a_long_journal_has_several_files_of_which_none_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), DEPLOYMENT).unwrap();
    let long = Market {
        deployment_id: DEPLOYMENT,
        number: 0,
        providers: vec![api::policies::ProviderNow { id: "x".repeat(3 << 20), ..Default::default() }],
        tenants: vec![],
    };
    for number in 0..10 {
        journal.append(&Entry::Market(Market { number, ..long.clone() })).unwrap();
    }
    let files = |expected: usize| {
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        let mut files: Vec<_> = files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|ending| ending == "journal"))
            .collect();
        files.sort();
        assert_eq!(files.len(), expected);
        files
    };
    files(4);
    assert!(journal.bytes() > 30 << 20);
    journal.forget(3).unwrap();
    let left = files(3);
    assert!(journal.bytes() < 24 << 20);
    drop(journal);
    let (journal, entries) = Journal::open(folder.path(), DEPLOYMENT).unwrap();
    assert_eq!(numbers(&entries), (3..10).collect::<Vec<_>>());
    drop(journal);
    fs::remove_file(&left[1]).unwrap();
    assert!(
        matches!(Journal::open(folder.path(), DEPLOYMENT), Err(JournalError::Missing(path)) if path == left[1])
    );
}

proptest! {
    #[test]
    fn whatever_a_file_holds_is_read_or_refused(bytes: Vec<u8>, with_header: bool) {
        let header = header(DEPLOYMENT, 0);
        let bytes = if with_header { [header.as_bytes(), &bytes].concat() } else { bytes };
        if let Ok(found) = read(&bytes, &header) {
            prop_assert!(found.whole <= bytes.len());
            let again = read(&bytes[..found.whole], &header).unwrap();
            prop_assert_eq!(again.entries, found.entries);
        }
    }

    #[test]
    fn a_file_that_is_cut_anywhere_has_the_lines_that_are_whole(count in 0usize..6, cut: prop::sample::Index) {
        let header = header(DEPLOYMENT, 0);
        let (mut chain, mut file, mut ends) = (Chain::begin(&header), header.clone(), vec![header.len()]);
        for number in 0..count {
            file.push_str(&chain.line(&format!("{{\"n\":{number}}}")));
            ends.push(file.len());
        }
        let cut = cut.index(file.len() + 1);
        let found = read(&file.as_bytes()[..cut], &header).unwrap();
        let whole = ends.iter().copied().filter(|end| *end <= cut).max().unwrap_or(0);
        prop_assert_eq!(found.whole, whole);
        prop_assert_eq!(found.entries.len(), ends.iter().filter(|end| **end <= cut).count().saturating_sub(1));
    }

    #[test]
    fn a_byte_that_is_changed_in_the_middle_is_noticed(at: prop::sample::Index, to: u8) {
        let header = header(DEPLOYMENT, 0);
        let (mut chain, mut file) = (Chain::begin(&header), header.clone());
        (0..4).for_each(|number| file.push_str(&chain.line(&format!("{{\"n\":{number}}}"))));
        let last = file[..file.len() - 1].rfind('\n').unwrap() + 1;
        let mut bytes = file.clone().into_bytes();
        let at = at.index(last);
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        prop_assert!(read(&bytes, &header).is_err());
    }
}
