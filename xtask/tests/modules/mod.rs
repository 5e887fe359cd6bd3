//! Imports between the files of a crate, with re-exports followed to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The files of the crate or folder `folder`, by module path, and the files that each imports from.
///
/// The file that declares the others, `lib.rs`, `main.rs` or `mod.rs`, is there as `lib`, if it defines
/// something. Its re-exports are no imports of its own, and neither is what `#[cfg(test)]` covers.
pub(crate) fn imports(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    for file in super::files(folder) {
        let within = file.strip_prefix(folder).expect("it is in there").with_extension("");
        let mut path: Vec<String> =
            within.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if matches!(path.last().map(|last| &**last), Some("lib" | "main" | "mod")) {
            path.pop();
        }
        let text = std::fs::read_to_string(&file).expect("a source file");
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let mut module = Module { path: path.clone(), ..Module::default() };
        module.visit_file(&parsed);
        // A crate with two binaries has two roots; they import, and nobody imports them.
        modules.entry(path).and_modify(|root: &mut Module| root.join(&module)).or_insert(module);
    }
    let name = |path: &[String]| match path {
        [] => "lib".to_owned(),
        path => path.join("::"),
    };
    let mut found = BTreeMap::new();
    for (path, module) in &modules {
        let files = module.imports.iter().map(|import| resolve(&modules, import, 0));
        let others = files.filter(|other| other != path).map(|other| name(&other));
        found.insert(name(path), others.collect());
    }
    found
}

/// The items and imports of one file.
#[derive(Default)]
struct Module {
    path: Vec<String>,
    /// Absolute paths that its code names.
    imports: Vec<Vec<String>>,
    /// Absolute paths by the name under which its `use` declarations bring them in; children see them, too.
    aliases: BTreeMap<String, Vec<String>>,
    /// Absolute paths of `use path::*`.
    globs: Vec<Vec<String>>,
    /// Names that it defines.
    items: BTreeSet<String>,
    /// Macros that it defines and that are reached from the root of the crate.
    exported: BTreeSet<String>,
}

impl Module {
    fn join(&mut self, other: &Module) {
        self.imports.extend(other.imports.iter().cloned());
        self.aliases.extend(other.aliases.clone());
        self.globs.extend(other.globs.iter().cloned());
        self.items.extend(other.items.iter().cloned());
        self.exported.extend(other.exported.iter().cloned());
    }

    /// The absolute form of a path of this crate that begins with `crate`, `self` or `super`.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.path.clone(),
            _ => return None,
        };
        let supers = path.iter().take_while(|part| *part == "super").count();
        base.truncate(base.len().checked_sub(supers)?);
        base.extend_from_slice(&path[supers.max(1)..]);
        Some(base)
    }

    fn import(&mut self, tree: &UseTree, before: &[String], is_facade: bool) {
        let with = |part: String| before.iter().cloned().chain([part]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => {
                self.import(&path.tree, &with(path.ident.to_string()), is_facade);
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, before, is_facade));
            }
            UseTree::Glob(_) => {
                if let Some(path) = self.path_of(before) {
                    self.globs.push(path.clone());
                    if !is_facade {
                        self.imports.push(path);
                    }
                }
            }
            UseTree::Name(_) | UseTree::Rename(_) => {
                let (from, to) = match tree {
                    UseTree::Rename(rename) => {
                        (rename.ident.to_string(), rename.rename.to_string())
                    }
                    UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
                    _ => unreachable!("the other trees have arms of their own"),
                };
                let (path, to) = match (from.as_str(), before.last()) {
                    ("self", Some(last)) => (before.to_vec(), last.clone()),
                    _ => (with(from), to),
                };
                if let Some(path) = self.path_of(&path) {
                    self.aliases.insert(to, path.clone());
                    if !is_facade {
                        self.imports.push(path);
                    }
                }
            }
        }
    }

    /// As [`absolute`](Self::absolute), and for a path in a `use` that begins with a child of this module.
    fn path_of(&self, path: &[String]) -> Option<Vec<String>> {
        let is_child =
            path.first().is_some_and(|first| self.items.contains(&format!("mod {first}")));
        match is_child {
            true => Some(self.path.iter().chain(path).cloned().collect()),
            false => self.absolute(path),
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_file(&mut self, file: &'ast syn::File) {
        for item in &file.items {
            if let Item::Mod(child) = item {
                self.items.insert(format!("mod {}", child.ident));
            }
        }
        visit::visit_file(self, file);
    }

    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Mod(item) => (&item.attrs, None),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            _ => return visit::visit_item(self, item),
        };
        if is_for_tests(attributes) {
            return;
        }
        if attributes.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            self.exported.extend(name.map(ToString::to_string));
        }
        self.items.extend(name.map(ToString::to_string));
        match item {
            Item::Use(item) => {
                let is_facade = !matches!(item.vis, syn::Visibility::Inherited);
                self.import(&item.tree, &[], is_facade);
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        // A lone name came in by a `use`; `child::item` needs none.
        if parts.len() > 1
            && let Some(path) = self.path_of(&parts)
        {
            self.imports.push(path);
        }
        visit::visit_path(self, path);
    }
}

/// Whether an item is compiled for unit tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

/// The path of the module whose file defines what `path` names.
fn resolve(modules: &BTreeMap<Vec<String>, Module>, path: &[String], depth: usize) -> Vec<String> {
    assert!(depth < 32, "re-exports in a circle: {path:?}");
    let mut at = 0;
    while at < path.len() && modules.contains_key(&path[..=at]) {
        at += 1;
    }
    let module = &modules[&path[..at]];
    let Some(name) = path.get(at) else { return module.path.clone() };
    if module.items.contains(name) {
        return module.path.clone();
    }
    if let Some(target) = module.aliases.get(name) {
        let target: Vec<String> = target.iter().chain(&path[at + 1..]).cloned().collect();
        return resolve(modules, &target, depth + 1);
    }
    for glob in &module.globs {
        let target: Vec<String> = glob.iter().chain(&path[at..]).cloned().collect();
        let home = resolve(modules, &target, depth + 1);
        if modules.get(&home).is_some_and(|module| module.items.contains(name)) {
            return home;
        }
    }
    let exports = |module: &&Module| at == 0 && module.exported.contains(name);
    modules.values().find(exports).unwrap_or(module).path.clone()
}
