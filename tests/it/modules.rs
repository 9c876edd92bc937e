//! Modules that import each other in a circle cannot be understood, or moved, one by one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The crates without circles.
const CRATES: [&str; 4] = ["evaluation", "federation", "policy", "psi"];

/// Which modules each module of a crate imports; the crate's root is the empty path.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_imports_itself_by_a_detour() {
    for name in CRATES {
        let folder = format!("{}/../shared/{name}/src", env!("CARGO_MANIFEST_DIR"));
        let imports = imports(Path::new(&folder));
        assert!(imports.values().any(|of| !of.is_empty()), "{name}: no imports were found");
        assert_eq!(circle(&imports), None, "{name}");
    }
}

#[test]
fn no_wing_of_the_policies_imports_another_but_prices() {
    let folder = format!("{}/../shared/policy/src", env!("CARGO_MANIFEST_DIR"));
    let wing = |module: &str| module.split_once("::").map_or(String::new(), |(wing, _)| wing.to_owned());
    let mut users_of_prices = BTreeSet::new();
    for (module, imported) in imports(Path::new(&folder)) {
        let own = wing(&module);
        for other in imported.iter().map(|other| wing(other)).filter(|other| !other.is_empty()) {
            if other == "prices" && own != "prices" {
                users_of_prices.insert(own.clone());
            }
            let is_shared = own.is_empty() || other == own || other == "prices";
            assert!(is_shared, "{module} imports something of {other}");
        }
    }
    assert_eq!(users_of_prices, ["adaptive", "cem", "rules"].map(str::to_owned).into());
}

#[test]
fn a_circle_is_found_and_its_members_are_named() {
    let imports = |pairs: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in pairs {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            imports.entry((*to).to_owned()).or_default();
        }
        imports
    };
    assert_eq!(circle(&imports(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = circle(&imports(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(found, ["b", "c"]);
}

#[test]
fn imports_are_read_from_paths_and_groups_and_not_from_tests() {
    let source = "use crate::{\n    rules::rule::Rule,\n    table,\n};\nfn f() { super::play::go(); }\n\
                  // crate::comment\n#[cfg(test)]\nmod tests { use crate::swarm::Swarm; }\n";
    let modules = ["", "cem", "cem::agent", "cem::play", "rules::rule", "rules", "table", "swarm", "comment"];
    let found = imported("cem::agent", source, &modules.map(str::to_owned).into());
    assert_eq!(found, ["cem::play", "rules::rule", "table"].map(str::to_owned).into());
}

fn imports(source: &Path) -> Imports {
    let mut files = BTreeMap::new();
    read(source, "", &mut files);
    let modules = files.keys().cloned().collect();
    let imported = |(name, text): (&String, &String)| (name.clone(), imported(name, text, &modules));
    files.iter().map(imported).collect()
}

/// The text of every module below a folder, by its path in the crate; tests have a circle of their own with what they
/// test.
fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = if prefix.is_empty() { stem.to_owned() } else { format!("{prefix}::{stem}") };
        if path.is_dir() && stem != "tests" {
            read(&path, &name, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") && stem != "tests" {
            let name = if matches!(stem, "lib" | "mod") { prefix.to_owned() } else { name };
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The modules that a module's text names. What a parent declares is no import of it.
fn imported(name: &str, text: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let parent = name.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut found = BTreeSet::new();
    for (root, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in code.match_indices(root) {
            for path in paths(&code[at + root.len()..]) {
                let path = if base.is_empty() { path } else { format!("{base}::{path}") };
                found.insert(module_of(&path, modules));
            }
        }
    }
    found.remove(name);
    // the root declares all modules: it may name any of them, and none of them it
    if name.is_empty() { BTreeSet::new() } else { found }
}

/// The paths that a use-tree begins with here: one, or those of a group.
fn paths(tree: &str) -> Vec<String> {
    let Some(group) = tree.strip_prefix('{') else {
        let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(tree.len());
        let path = tree[..end].trim_end_matches(':');
        return match tree[end..].strip_prefix('{') {
            Some(_) => paths(&tree[end..]).into_iter().map(|inner| format!("{path}::{inner}")).collect(),
            None => vec![path.to_owned()],
        };
    };
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).flat_map(paths).collect()
}

/// The innermost module of a path; the root where it names something of the root.
fn module_of(path: &str, modules: &BTreeSet<String>) -> String {
    let mut path = path;
    while !modules.contains(path) {
        path = path.rsplit_once("::").map_or("", |(parent, _)| parent);
    }
    path.to_owned()
}

/// The members of a circle, if there is one: modules that are left when those that import nothing are taken away again
/// and again, and that somebody imports. Whoever imports the root is one, for the root imports all.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut left = imports.clone();
    if let Some(root) = left.get_mut("") {
        root.extend(imports.keys().filter(|name| !name.is_empty()).cloned());
    }
    loop {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, of)| of.iter().all(|m| !left.contains_key(m)))
            .map(|(n, _)| n.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|name| drop(left.remove(name)));
    }
    loop {
        let imported: BTreeSet<String> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|name, _| imported.contains(name));
        if left.len() == before {
            break;
        }
    }
    (!left.is_empty()).then(|| left.into_keys().collect())
}
