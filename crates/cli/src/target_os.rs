//! Finds sources that test the operating system in a guest that is built for the host's target.
//!
//! Kernel crates choose code by `cfg(target_os = "none")`. For the host's target that is false, and what is
//! checked is not what the kernel runs: a lock that does not turn interrupts off, for instance. This module
//! searches the sources that the compiler has read for conditions that differ between the two targets.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, TargetKind};

/// The guest library, whose code differs on purpose.
const LIBRARY: &str = "lamprey";

/// Conditions that hold for exactly one of the two targets. Conditions on other systems hold for neither.
const DIFFERENT: [(&str, &str); 5] = [
    ("target_os", "none"),
    ("target_os", "linux"),
    ("target_family", "unix"),
    ("target_env", "gnu"),
    ("target_env", ""),
];

/// Environment variables that tell a build script the same about its target.
const VARIABLES: [&str; 4] =
    ["CARGO_CFG_TARGET_OS", "CARGO_CFG_TARGET_FAMILY", "CARGO_CFG_TARGET_ENV", "CARGO_CFG_UNIX"];

/// The place where a package tests the operating system.
#[derive(Debug, PartialEq)]
pub(crate) struct OsCondition {
    /// The package, with its version.
    pub(crate) package: String,
    /// The first file with such a condition.
    pub(crate) file: PathBuf,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// The condition, in the words of the source.
    pub(crate) condition: String,
}

/// Returns the first condition of each package among `artifacts` that is compiled for the target whose builds
/// are in `folder`, sorted by package. Relative paths of sources start at the workspace, `root`.
pub(crate) fn conditions(artifacts: &[Artifact], folder: &Path, root: &Path) -> Vec<OsCondition> {
    let is_for_target = |artifact: &&Artifact| {
        let mut files = artifact.filenames.iter();
        files.any(|file| file.as_std_path().starts_with(folder)) && !is_standard(artifact)
    };
    let compiled: Vec<&Artifact> = artifacts.iter().filter(is_for_target).collect();
    let (executables, libraries): (Vec<&Artifact>, Vec<&Artifact>) =
        compiled.iter().partition(|artifact| artifact.target.is_kind(TargetKind::Bin));
    let mut looked_at = BTreeSet::new();
    let mut conditions = Vec::new();
    let mut look = |artifact: &Artifact, files: Vec<PathBuf>| {
        // Records all of them, whether found or not: another package's list may contain them, too.
        let mut files = files;
        files.retain(|file| looked_at.insert(file.clone()));
        let (name, version) = package(artifact);
        let found = match name {
            LIBRARY => None,
            _ => files.into_iter().find_map(|file| Some((first(&fs::read(&file).ok()?)?, file))),
        };
        if let Some(((line, condition), file)) = found {
            let package = format!("{name} {version}");
            conditions.push(OsCondition { package, file, line, condition });
        }
    };
    for library in libraries {
        look(library, sources(library, root));
    }
    // Cargo's list of an executable has the sources of all packages that are not from a registry.
    for executable in executables {
        let of_package = executable.manifest_path.parent().map(|folder| folder.as_std_path());
        let mut files = sources(executable, root);
        files.retain(|file| of_package.is_some_and(|folder| file.starts_with(folder)));
        look(executable, files);
    }
    for script in artifacts.iter().filter(|a| a.target.is_kind(TargetKind::CustomBuild)) {
        if compiled.iter().any(|artifact| artifact.package_id == script.package_id) {
            look(script, vec![script.target.src_path.clone().into()]);
        }
    }
    conditions.sort_by(|a, b| a.package.cmp(&b.package));
    conditions.dedup_by(|a, b| a.package == b.package);
    conditions
}

/// Returns whether `artifact` is a part of the standard library, built from source.
fn is_standard(artifact: &Artifact) -> bool {
    artifact.target.src_path.as_str().contains("/lib/rustlib/src/")
}

/// Returns name and version, from `path+file:///folder/name#version` or `source#name@version`.
fn package(artifact: &Artifact) -> (&str, &str) {
    let (source, rest) = artifact.package_id.repr.split_once('#').unwrap_or_default();
    rest.split_once('@').unwrap_or_else(|| {
        let source = source.split('?').next().unwrap_or(source);
        (source.rsplit('/').next().unwrap_or(source), rest)
    })
}

/// Returns the files that the compiler has read for `artifact`, by its list beside the artifact, or without
/// such a list the root of the crate.
fn sources(artifact: &Artifact, root: &Path) -> Vec<PathBuf> {
    let list = artifact.filenames.iter().find_map(|file| {
        let name = file.file_stem()?;
        let name = name.strip_prefix("lib").filter(|_| file.extension().is_some()).unwrap_or(name);
        fs::read_to_string(file.with_file_name(format!("{name}.d"))).ok()
    });
    match list.as_deref().map(|list| listed(list, root)) {
        Some(files) if !files.is_empty() => files,
        _ => vec![artifact.target.src_path.clone().into()],
    }
}

/// Returns the sources after the colon of the first rule, `out: a.rs b\ c.rs`.
fn listed(list: &str, root: &Path) -> Vec<PathBuf> {
    let rule = list.lines().find_map(|line| line.split_once(": ")).unwrap_or_default().1;
    let mut files = vec![String::new()];
    let mut chars = rule.chars();
    while let (Some(c), Some(file)) = (chars.next(), files.last_mut()) {
        match c {
            '\\' => file.extend(chars.next()),
            ' ' => files.push(String::new()),
            _ => file.push(c),
        }
    }
    files.into_iter().filter(|file| file.ends_with(".rs")).map(|file| root.join(file)).collect()
}

/// Finds the first condition in `source`: its line and its text.
fn first(source: &[u8]) -> Option<(usize, String)> {
    let source = std::str::from_utf8(source).ok()?;
    // Most files have none of these words and need not be split into tokens.
    if !["target_", "unix", "CARGO_CFG_"].iter().any(|word| source.contains(word)) {
        return None;
    }
    let tokens = SourceTokens { source, at: 0 };
    let mut before: [Option<(usize, SourceToken<'_>)>; 2] = [None, None];
    // The number of open parentheses, counted from that of `cfg(`.
    let mut depth = 0_usize;
    let line = |at: usize| source[..at].matches('\n').count() + 1;
    for (at, token) in tokens {
        let condition = match (before, token) {
            (
                [Some((_, SourceToken::Word(key))), Some((_, SourceToken::Sign('=')))],
                SourceToken::Text(value),
            ) => DIFFERENT.contains(&(key, value)).then(|| format!("{key} = \"{value}\"")),
            (_, SourceToken::Text(name)) => VARIABLES.contains(&name).then(|| name.to_owned()),
            (_, SourceToken::Word("unix")) if depth > 0 => Some("unix".to_owned()),
            _ => None,
        };
        if let Some(condition) = condition {
            return Some((line(at), condition));
        }
        depth = match (before, token) {
            (_, SourceToken::Sign('(')) if depth > 0 || opens(before) => depth + 1,
            (_, SourceToken::Sign(')')) => depth.saturating_sub(1),
            _ => depth,
        };
        before = [before[1], Some((at, token))];
    }
    None
}

/// Returns whether a parenthesis after `before` starts a condition: `cfg(`, `cfg!(`, `cfg_attr(`.
fn opens(before: [Option<(usize, SourceToken<'_>)>; 2]) -> bool {
    let word = match before.map(|token| token.map(|(_, token)| token)) {
        [Some(SourceToken::Word(word)), Some(SourceToken::Sign('!'))]
        | [_, Some(SourceToken::Word(word))] => word,
        _ => return false,
    };
    matches!(word, "cfg" | "cfg_attr")
}

/// A token of Rust source, only as precise as the search needs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SourceToken<'s> {
    /// A name, a keyword or a number.
    Word(&'s str),
    /// A string literal, without its quotes, escapes unresolved.
    Text(&'s str),
    /// Any other character.
    Sign(char),
}

/// The tokens of a source, each with its offset.
struct SourceTokens<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Iterator for SourceTokens<'s> {
    type Item = (usize, SourceToken<'s>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.source[self.at..];
            let skipped = match rest.chars().next()? {
                c if c.is_whitespace() => c.len_utf8(),
                '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => length_of_comment(rest),
                _ => {
                    let (token, length) = token(rest);
                    self.at += length;
                    return Some((self.at - length, token));
                }
            };
            self.at += skipped;
        }
    }
}

/// Returns the token at the beginning of `rest` and its length.
fn token(rest: &str) -> (SourceToken<'_>, usize) {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
    let behind = &rest[word.len()..];
    match word {
        // r"…", r#"…"#, with b or c before it.
        "r" | "br" | "cr" if behind.trim_start_matches('#').starts_with('"') => {
            let hashes = behind.len() - behind.trim_start_matches('#').len();
            let end = format!("\"{}", &behind[..hashes]);
            let text = &behind[hashes + 1..];
            let length = text.find(&end).unwrap_or(text.len());
            let whole = word.len() + hashes + 1 + length + end.len();
            (SourceToken::Text(&text[..length]), whole.min(rest.len()))
        }
        "" if rest.starts_with('"') => {
            let text = &rest[1..];
            let length = length_to(text, '"');
            (SourceToken::Text(&text[..length]), (length + 2).min(rest.len()))
        }
        "" if rest.starts_with('\'') => {
            // 'x' and '\n' are characters; a lifetime has no second quote.
            let mut chars = rest[1..].chars();
            let length = match (chars.next(), chars.next()) {
                (Some('\\'), _) => (length_to(&rest[1..], '\'') + 2).min(rest.len()),
                (Some(c), Some('\'')) => c.len_utf8() + 2,
                _ => 1,
            };
            (SourceToken::Sign('\''), length)
        }
        "" => {
            let sign = rest.chars().next().unwrap_or_default();
            (SourceToken::Sign(sign), sign.len_utf8())
        }
        _ => (SourceToken::Word(word), word.len()),
    }
}

/// Returns the offset of the next `quote` that is not escaped.
fn length_to(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let is_end = |c: char| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    text.find(is_end).unwrap_or(text.len())
}

/// Returns the length of a block comment, which may contain others.
fn length_of_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(next) = rest.as_bytes().get(at..at + 2) {
        match next {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(source: &str) -> Option<String> {
        first(source.as_bytes()).map(|(line, condition)| format!("{line}: {condition}"))
    }

    #[test]
    fn questions_with_different_answers_are_found() {
        for (source, expected) in [
            ("#[cfg(target_os = \"none\")]\nfn f() {}", "1: target_os = \"none\""),
            ("\n\nif cfg!(not(target_os=\"linux\")) {}", "3: target_os = \"linux\""),
            ("#![cfg_attr(not(\n  target_os\n= r\"none\"), no_std)]", "3: target_os = \"none\""),
            ("cfg_select! { target_os = \"none\" => {} }", "1: target_os = \"none\""),
            ("#[cfg(any(windows, unix))]", "1: unix"),
            ("#[cfg(target_family = r#\"unix\"#)]", "1: target_family = \"unix\""),
            ("var(\"CARGO_CFG_TARGET_OS\")", "1: CARGO_CFG_TARGET_OS"),
            ("/* a /* b */ c */ '\"'; 'a: x; '\\''; #[cfg(unix)]", "1: unix"),
            ("\"\\\"\"; b\"x\\\\\"; // \"\n#[cfg(unix)]", "2: unix"),
            ("r#\"a\"b\"#; #[cfg(unix)]", "1: unix"),
        ] {
            assert_eq!(condition(source).as_deref(), Some(expected), "{source}");
        }
    }

    #[test]
    fn comments_texts_and_equal_answers_are_none() {
        for source in [
            "// #[cfg(target_os = \"none\")]",
            "/// #[cfg(unix)]\n//! cfg(unix)",
            "/* x /* y */ #[cfg(target_os = \"none\")] */",
            "/* never ended #[cfg(unix)]",
            "#[doc = \"cfg(target_os = \\\"none\\\")\"]",
            "r#\"cfg(target_os = \"none\")\"#",
            "#[cfg(target_os = \"windows\")]",
            "#[cfg(not(target_family = \"wasm\"))]",
            "#[cfg(target_arch = \"x86_64\")]",
            "f(unix); std::os::unix::x(); #[cfg(test)] mod unix;",
            "let target_os = none;",
        ] {
            assert_eq!(condition(source), None, "{source}");
        }
    }

    #[test]
    fn the_compilers_list_has_the_files() {
        let list = "/t/x.d: src/lib.rs src/a\\ b.rs /abs/c.rs README.md\n\nsrc/lib.rs:\n";
        let files = ["/w/src/lib.rs", "/w/src/a b.rs", "/abs/c.rs"].map(PathBuf::from);
        assert_eq!(listed(list, Path::new("/w")), files);
        assert_eq!(listed("", Path::new("/w")), [""; 0].map(PathBuf::from));
    }
}
