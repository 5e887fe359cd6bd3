//! Commands that lead on from a report, as they work when typed.

use std::env;
use std::path::Path;

use report::Context;

use crate::args::Source;
use crate::build;

/// How this program is called, and for which guests.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    program: String,
    source: String,
}

impl Commands {
    pub(crate) fn new(program: &str, source: &Source) -> Self {
        let manifest = source.manifest_path.iter().map(|path| ("--manifest-path", path));
        let images = source.image.iter().map(|path| ("--image", path));
        let flags = manifest.chain(images).map(|(flag, path)| format!(" {flag} {}", quoted(path)));
        let target = source.target.filter(|_| source.is_target_typed);
        let target = target.map(|target| format!(" --target {}", build::name_of(target)));
        Self { program: program.to_owned(), source: flags.chain(target).collect() }
    }

    /// What is said beside an outcome whose trail was kept under `trail`.
    pub(crate) fn context(&self, trail: Option<&str>) -> Context {
        let (program, source) = (&self.program, &self.source);
        Context {
            trail: trail.map(str::to_owned),
            replay: trail.map(|name| format!("{program} replay{source} {name}")),
            more: trail.map(|name| format!("{program} show{source} {name} --mail")),
        }
    }

    /// What is said beside an outcome whose trail is a file that we do not keep.
    pub(crate) fn context_of_file(&self, trail: &Path, scenario: &str) -> Context {
        let (program, source) = (&self.program, &self.source);
        let name = trail.file_stem().map(|name| name.to_string_lossy().into_owned());
        Context {
            trail: name,
            replay: Some(format!("{program} replay{source} {}", quoted(trail))),
            more: Some(format!("{program} show{source} {scenario} --mail")),
        }
    }
}

/// The program's name as a shell finds it: `by_name` if that is how it was called, else its path.
pub(crate) fn program(by_name: &str) -> String {
    let Some(called) = env::args_os().next() else { return by_name.to_owned() };
    let path = Path::new(&called);
    if by_name.contains(' ') || !path.to_string_lossy().contains('/') {
        return by_name.to_owned();
    }
    let here = env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(relative) if relative.components().count() > 1 => quoted(relative),
        _ => quoted(path),
    }
}

/// A path as a shell reads it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Target;

    #[test]
    fn commands_name_the_guests_that_were_named() {
        let source = Source { manifest_path: Some("a b/Cargo.toml".into()), ..Source::default() };
        let context = Commands::new("cargo lamprey", &source).context(Some("x-1"));
        let replay = "cargo lamprey replay --manifest-path 'a b/Cargo.toml' x-1";
        assert_eq!(context.replay.as_deref(), Some(replay));
        let source = Source { image: vec!["k".into(), "l".into()], ..Source::default() };
        let context = Commands::new("lamprey", &source).context(Some("x-1"));
        let more = "lamprey show --image k --image l x-1 --mail";
        assert_eq!(context.more.as_deref(), Some(more));
        assert_eq!(Commands::new("lamprey", &source).context(None).replay, None);
        let source =
            Source { target: Some(Target::Bare), is_target_typed: true, ..Source::default() };
        let context = Commands::new("lamprey", &source).context(Some("x-1"));
        let replay = "lamprey replay --target x86_64-unknown-none x-1";
        assert_eq!(context.replay.as_deref(), Some(replay));
    }

    #[test]
    fn paths_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
        assert_eq!(quoted(Path::new("a/b-c_1.elf")), "a/b-c_1.elf");
    }
}
