//! The documents agree with the code and with each other.
//!
//! Those that are written from the code (docs/settings.md, the index of docs/adr, the README's chart) are written anew
//! by `UPDATE_DOCUMENTS=1 cargo test -p black-box-tests documents`.

mod adr;
mod glossary;
mod links;
mod map;
mod readme;
mod settings;

use crate::support::{file, path};

/// How every document that is written from the code is written anew.
const REGENERATE: &str = "UPDATE_DOCUMENTS=1 cargo test -p black-box-tests documents";

/// Compares a document with what it should be, after writing it anew when that was asked for.
fn assert_up_to_date(document: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(path(document), expected).unwrap();
    }
    let found = if path(document).exists() { file(document) } else { String::new() };
    assert!(found == expected, "{document} is not up to date: run `{REGENERATE}` and look at the difference");
}
