use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support::path;

#[test]
fn every_link_between_documents_leads_to_a_file_and_to_a_heading_of_it() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        for link in links(&text) {
            if let Some(why) = broken_because(&document, &text, &link) {
                broken.push(format!("{}: ({link}): {why}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The documents at the top and under docs.
fn documents() -> Vec<PathBuf> {
    let mut documents = Vec::new();
    let mut folders = vec![path("docs")];
    collect(&path("."), &mut documents, &mut Vec::new());
    while let Some(folder) = folders.pop() {
        collect(&folder, &mut documents, &mut folders);
    }
    assert!(documents.len() > 15, "only {documents:?} were found");
    documents
}

fn collect(folder: &Path, documents: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where the text's links lead, but for those that leave the repository. What stands in code is no link.
fn links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).flat_map(|part| part.split('`').step_by(2));
    let targets = prose.flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    // a link's words may be code, so that what is in front of `](` ended with a backtick
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

fn broken_because(document: &Path, text: &str, link: &str) -> Option<String> {
    let (target, anchor) =
        link.split_once('#').map_or((link, None), |(target, anchor)| (target, Some(anchor)));
    let target_path = document.parent().unwrap().join(target);
    if !target_path.exists() {
        return Some("there is no such file".into());
    }
    let anchor = anchor?;
    let target_text = if target.is_empty() { text.to_owned() } else { read(&target_path) };
    let known = anchors(&target_text);
    (!known.contains(anchor)).then(|| format!("no heading has this anchor; there are {known:?}"))
}

/// The anchors of a document's headings, as GitHub makes them: small letters, without punctuation, hyphens for blanks.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    let headings =
        prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| -> String {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    headings.map(anchor).collect()
}
