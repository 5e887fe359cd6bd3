//! The direction of imports: who may depend on whom, as ARCHITECTURE.md draws it.
//!
//! Read from `cargo metadata`, so it sees what cargo sees. An arrow that is not listed is a failure, and
//! so is a listed one that nothing uses any more.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Every arrow between our own crates, without those of tests.
const LAYERS: &[(&str, &[&str])] = &[
    ("abi", &[]),
    ("outcome", &[]),
    ("x86", &[]),
    ("mmu", &[]),
    ("explore", &[]),
    ("image", &[]),
    ("native", &["x86"]),
    ("machine", &["abi", "mmu", "x86"]),
    ("check", &["abi", "explore", "image", "machine", "outcome"]),
    ("litmus", &["abi", "explore", "machine"]),
    ("report", &["outcome"]),
    ("lamprey-cli", &["check", "litmus", "outcome", "report"]),
    ("lamprey-macros", &[]),
    ("lamprey", &["abi", "lamprey-macros"]),
    ("aspace", &[]),
    ("xtask", &["native", "x86"]),
];

#[test]
fn imports_run_downwards_only() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata =
        MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata");
    let ours: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let arrows = |kind: fn(DependencyKind) -> bool| -> BTreeMap<String, BTreeSet<String>> {
        metadata
            .packages
            .iter()
            .map(|package| {
                let to = package.dependencies.iter().filter(|d| kind(d.kind));
                let to = to.map(|d| d.name.clone()).filter(|name| ours.contains(name)).collect();
                (package.name.to_string(), to)
            })
            .collect()
    };
    let declared: BTreeMap<String, BTreeSet<String>> = LAYERS
        .iter()
        .map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect()))
        .collect();
    assert_eq!(arrows(|kind| kind != DependencyKind::Development), declared);

    // Tests may reach further, but never upwards.
    let height = |name: &str| LAYERS.iter().position(|(layer, _)| *layer == name);
    for (from, to) in arrows(|kind| kind == DependencyKind::Development) {
        for to in to {
            assert!(
                height(&to) < height(&from),
                "a test of {from} depends on {to}, which is above"
            );
        }
    }
}

#[test]
fn nothing_but_the_command_line_prints() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    for (name, _) in LAYERS {
        if matches!(*name, "lamprey-cli" | "xtask") {
            continue;
        }
        let folder = sources(root, name);
        for file in files(&folder) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            for macro_name in ["println!", "eprintln!", "print!(", "eprint!(", "dbg!("] {
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                assert!(
                    !code.into_iter().any(|line| line.contains(macro_name)),
                    "{}: {macro_name} outside the command line",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn no_files_of_a_crate_import_in_a_circle() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    for (name, _) in LAYERS {
        let folder = sources(root, name);
        let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in files(&folder) {
            let within = file.strip_prefix(&folder).expect("it is in there").with_extension("");
            // A file of a folder counts as the module that the folder is.
            let module = within.iter().next().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).expect("a source file");
            imports.entry(module).or_default().extend(imported(&text));
        }
        for root in ["lib", "main"] {
            imports.remove(root);
        }
        let modules: BTreeSet<String> = imports.keys().cloned().collect();
        for (module, from) in &mut imports {
            from.retain(|other| other != module && modules.contains(other));
        }
        // What imports nothing that is left cannot be part of a circle.
        while let Some(free) =
            imports.iter().find(|(_, from)| from.is_empty()).map(|(module, _)| module.clone())
        {
            imports.remove(&free);
            imports.values_mut().for_each(|from| {
                from.remove(&free);
            });
        }
        assert!(imports.is_empty(), "{name}: a circle among these: {imports:?}");
    }
}

/// The modules of its own crate that a file names, outside its tests.
fn imported(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().expect("the first part");
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in code {
        for (place, start) in line.match_indices("crate::") {
            let rest = &line[place + start.len()..];
            let names =
                rest.strip_prefix('{').map_or(vec![rest], |list| list.split(", ").collect());
            for name in names {
                let end = name.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
                found.insert(name[..end.unwrap_or(name.len())].to_owned());
            }
        }
    }
    found
}

/// Where a crate has its sources.
fn sources(root: &std::path::Path, name: &str) -> std::path::PathBuf {
    match name {
        "aspace" | "xtask" => root.join(name).join("src"),
        "lamprey" | "lamprey-macros" => root.join("guest").join(name).join("src"),
        "lamprey-cli" => root.join("crates/cli/src"),
        _ => root.join("crates").join(name).join("src"),
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
