//! What is linked from elsewhere: licences, and crates that are there twice.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// Licences under which a dependency may be used; an expression needs one of them in each part.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are linked in several versions, each with the reason.
const TWICE: &[(&str, &str)] = &[];

#[test]
fn every_licence_is_allowed() {
    let refused: Vec<String> = others(&metadata())
        .filter(|package| !package.license.as_deref().is_some_and(is_allowed))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in others(&metadata()) {
        versions.entry(package.name.to_string()).or_default().insert(package.version.to_string());
    }
    versions.retain(|_, versions| versions.len() > 1);
    let found: BTreeSet<&str> = versions.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, listed, "{versions:?}");
}

#[test]
fn an_expression_is_allowed_by_one_alternative_of_each_part() {
    assert!(is_allowed("MIT OR GPL-3.0"));
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
    assert!(!is_allowed("GPL-3.0"));
}

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let host = "--filter-platform=x86_64-unknown-linux-gnu".to_owned();
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).other_options([host, "--locked".to_owned()]);
    command.exec().expect("cargo metadata")
}

/// The packages that are not ours.
fn others(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    let linked = metadata.resolve.as_ref().expect("dependencies are resolved").nodes.iter();
    linked.map(|node| &metadata[&node.id]).filter(|package| package.source.is_some())
}

/// Whether an SPDX expression, a conjunction of alternatives, can be met by [`LICENCES`].
fn is_allowed(expression: &str) -> bool {
    let alternatives = |part: &str| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')').replace('/', " OR ");
        part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim()))
    };
    expression.split(" AND ").all(alternatives)
}
