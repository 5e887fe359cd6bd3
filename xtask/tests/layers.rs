//! The direction of imports: who may depend on whom, as ARCHITECTURE.md draws it.
//!
//! Read from `cargo metadata`, so it sees what cargo sees. An arrow that is not listed is a failure, and
//! so is a listed one that nothing uses any more.

mod modules;

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};
use modules::imports;

/// Every arrow between our own crates, without those of tests.
const LAYERS: &[(&str, &[&str])] = &[
    ("abi", &[]),
    ("snapshot", &[]),
    ("outcome", &[]),
    ("report", &["outcome"]),
    ("x86", &[]),
    ("mmu", &[]),
    ("interrupts", &["mmu", "x86"]),
    ("registers", &["interrupts", "mmu", "x86"]),
    ("memory", &[]),
    ("explore", &[]),
    ("image", &[]),
    ("native", &["x86"]),
    ("machine", &["abi", "interrupts", "memory", "mmu", "registers", "x86"]),
    ("bare", &["interrupts", "memory", "mmu", "registers", "x86"]),
    ("system", &["explore", "machine"]),
    ("check", &["abi", "bare", "explore", "image", "machine", "outcome", "system"]),
    ("litmus", &["abi", "explore", "machine", "system"]),
    ("oracle", &["abi", "explore", "machine", "system"]),
    ("lamprey-cli", &["check", "litmus", "outcome", "report"]),
    ("lamprey-macros", &[]),
    ("lamprey", &["abi", "lamprey-macros"]),
    ("aspace", &[]),
    ("xtask", &["lamprey-cli", "native", "oracle", "x86"]),
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
    let crates = LAYERS.iter().map(|(name, _)| sources(root, name));
    let guests = ["guest/bare", "scenarios/aspace", "scenarios/seed", "scenarios/tlb"];
    let mut found = Vec::new();
    for folder in crates.chain(guests.map(|guest| root.join(guest).join("src"))) {
        let by_file = imports(&folder);
        // A folder stands for its files, too, as seen from beside it.
        let top = |path: &str| path.split("::").next().unwrap_or_default().to_owned();
        let mut by_folder: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, from) in &by_file {
            let others = from.iter().map(|path| top(path)).filter(|other| *other != top(module));
            by_folder.entry(top(module)).or_default().extend(others);
        }
        for graph in [by_file, by_folder] {
            let circle = circles(graph);
            if !circle.is_empty() {
                found.push(format!("{}: a circle among these: {circle:#?}", folder.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn tables_of_rooms_are_true() {
    const CLAIM: &str = "a file imports only from files above it in this table";
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
    let sources = LAYERS.iter().flat_map(|(name, _)| files(&sources(root, name)));
    let mut tables = 0;
    for file in sources {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let Some((_, table)) = text.split_once(CLAIM) else { continue };
        tables += 1;
        let cells =
            table.lines().filter_map(|line| line.strip_prefix("//! | `")?.split(" |").next());
        let listed = cells.flat_map(|cell| cell.split(", "));
        let modules = listed.map(|module| module.trim_matches('`').to_owned());
        let ranks: BTreeMap<String, usize> = modules.zip(0..).collect();
        let top = |path: &str| path.split("::").next().unwrap_or_default().to_owned();
        let mut found = BTreeSet::new();
        for (module, from) in imports(file.parent().expect("its folder")) {
            let module = top(&module);
            if matches!(&*module, "tests" | "lib") {
                continue;
            }
            let rank =
                ranks.get(&module).unwrap_or_else(|| panic!("`{module}` is not listed: {file:?}"));
            let others = from.iter().map(|path| top(path));
            for other in others.filter(|other| *other != module && *other != "lib") {
                assert!(ranks[&other] < *rank, "`{module}` imports `{other}` from below: {file:?}");
            }
            found.insert(module);
        }
        assert_eq!(found, ranks.into_keys().collect(), "{}", file.display());
    }
    assert_eq!(tables, 4, "both machines have one, and the rules that they share");
}

/// What is left when nothing can be taken away that imports nothing which is left.
fn circles(mut graph: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let modules: BTreeSet<String> = graph.keys().cloned().collect();
        graph.values_mut().for_each(|from| from.retain(|other| modules.contains(other)));
        let before = graph.len();
        graph.retain(|_, from| !from.is_empty());
        if graph.len() == before {
            return graph;
        }
    }
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
