//! Short names for source files.

/// The folders that file names are given relative to.
#[derive(Debug, Default)]
pub(crate) struct SourceRoots {
    /// The deepest folder that holds all folders the image was compiled in.
    common: Option<String>,
    /// The folders themselves, longest first.
    folders: Vec<String>,
}

impl SourceRoots {
    /// Derives the roots from the folders that the units were compiled in (`DW_AT_comp_dir`).
    pub(crate) fn new(folders: impl IntoIterator<Item = String>) -> SourceRoots {
        let foreign = |folder: &str| {
            !folder.starts_with('/')
                || folder.starts_with("/rustc/")
                || folder.contains("/rustlib/src/")
                || folder.contains("/registry/src/")
        };
        let mut folders: Vec<String> =
            folders.into_iter().filter(|folder| !foreign(folder)).map(|f| normal(&f)).collect();
        folders.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        folders.dedup();
        let common = folders.iter().cloned().reduce(|a, b| common_folder(&a, &b));
        SourceRoots { common: common.filter(|folder| folder.len() > 1), folders }
    }

    /// Shortens the file's name as reports show it; the rules are at [`crate::Frame::file`].
    pub(crate) fn shorten(&self, path: &str) -> String {
        let path = normal(path);
        if let Some(rest) = after(&path, "/rustc/").or_else(|| after(&path, "/rustlib/src/"))
            && let Some(rest) = after(rest, "/library/")
        {
            return rest.to_owned();
        }
        // The folder after it is named after the registry.
        if let Some((_, rest)) = after(&path, "/registry/src/").and_then(|r| r.split_once('/')) {
            return rest.to_owned();
        }
        if let Some(rest) = self.common.as_deref().and_then(|root| inside(&path, root)) {
            return rest.to_owned();
        }
        for folder in &self.folders {
            let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            if inside(&path, folder).is_some() && path.len() > parent.len() + 1 {
                return path[parent.len() + 1..].to_owned();
            }
        }
        if !path.starts_with('/') {
            return path;
        }
        let last: Vec<&str> = path.rsplit('/').filter(|part| !part.is_empty()).take(3).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("/")
    }
}

fn after<'a>(path: &'a str, marker: &str) -> Option<&'a str> {
    path.split_once(marker).map(|(_, rest)| rest)
}

fn inside<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

fn common_folder(a: &str, b: &str) -> String {
    let same = a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b);
    same.map(|(part, _)| part).collect::<Vec<_>>().join("/")
}

/// Normalizes a path: without `.`, `..` and doubled slashes.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::SourceRoots;

    #[track_caller]
    fn check(folders: &[&str], table: &[(&str, &str)]) {
        let roots = SourceRoots::new(folders.iter().map(|&folder| folder.to_owned()));
        for (path, short) in table {
            assert_eq!(roots.shorten(path), *short, "of {path}");
        }
    }

    #[test]
    fn rules_in_order() {
        check(
            &["/home/me/os/scenarios", "/home/me/os/aspace", "/rustc/0123abcd"],
            &[
                ("/rustc/0123abcd/library/core/src/fmt/mod.rs", "core/src/fmt/mod.rs"),
                ("/opt/lib/rustlib/src/rust/library/core/src/lib.rs", "core/src/lib.rs"),
                ("/home/me/.cargo/registry/src/index-1/bit-2.0/src/lib.rs", "bit-2.0/src/lib.rs"),
                ("/home/me/os/aspace/src/lib.rs", "aspace/src/lib.rs"),
                ("/home/me/os/aspace/../scenarios/./src//a.rs", "scenarios/src/a.rs"),
                ("/home/me/osx/src/lib.rs", "osx/src/lib.rs"),
                ("/a.c", "a.c"),
                ("src/lib.rs", "src/lib.rs"),
                ("../x/a.c", "../x/a.c"),
                ("", ""),
            ],
        );
    }

    #[test]
    fn one_folder_is_the_root() {
        check(&["/build/linux", "/build/linux"], &[("/build/linux/mm/mmap.c", "mm/mmap.c")]);
    }

    #[test]
    fn folders_with_nothing_in_common() {
        check(
            &["/src/one", "/work/two"],
            &[("/src/one/a/b/c/d.c", "one/a/b/c/d.c"), ("/x/y/z/a.c", "y/z/a.c")],
        );
    }
}
