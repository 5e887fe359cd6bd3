//! Commands that a report proposes, as they work when typed.

use std::env;
use std::path::Path;

use report::Context;

use crate::args::GuestArgs;
use crate::build;

/// The name of this program and its flags for guests.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    program: String,
    guests: String,
}

impl Commands {
    pub(crate) fn new(program: &str, guests: &GuestArgs) -> Self {
        let manifest = guests.manifest_path.iter().map(|path| ("--manifest-path", path));
        let images = guests.image.iter().map(|path| ("--image", path));
        let flags = manifest.chain(images).map(|(flag, path)| format!(" {flag} {}", quoted(path)));
        let target = guests.target.filter(|_| guests.is_target_typed);
        let target = target.map(|target| format!(" --target {}", build::name_of(target)));
        Self { program: program.to_owned(), guests: flags.chain(target).collect() }
    }

    /// Returns the commands for an outcome whose trail is saved as `trail`.
    pub(crate) fn context(&self, trail: Option<&str>) -> Context {
        let (program, guests) = (&self.program, &self.guests);
        Context {
            trail: trail.map(str::to_owned),
            replay: trail.map(|name| format!("{program} replay{guests} {name}")),
            more: trail.map(|name| format!("{program} show{guests} {name} --mail")),
        }
    }

    /// Returns the commands for an outcome whose trail is a file outside the store.
    pub(crate) fn context_of_file(&self, trail: &Path, scenario: &str) -> Context {
        let (program, guests) = (&self.program, &self.guests);
        let name = trail.file_stem().map(|name| name.to_string_lossy().into_owned());
        Context {
            trail: name,
            replay: Some(format!("{program} replay{guests} {}", quoted(trail))),
            more: Some(format!("{program} show{guests} {scenario} --mail")),
        }
    }
}

/// Returns the program's name as a shell finds it: `by_name` if it was called like this, else its path.
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

/// Returns a path quoted for a shell.
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
    use crate::args::TargetArg;

    #[test]
    fn commands_name_the_guests_that_were_named() {
        let guests =
            GuestArgs { manifest_path: Some("a b/Cargo.toml".into()), ..GuestArgs::default() };
        let context = Commands::new("cargo lamprey", &guests).context(Some("x-1"));
        let replay = "cargo lamprey replay --manifest-path 'a b/Cargo.toml' x-1";
        assert_eq!(context.replay.as_deref(), Some(replay));
        let guests = GuestArgs { image: vec!["k".into(), "l".into()], ..GuestArgs::default() };
        let context = Commands::new("lamprey", &guests).context(Some("x-1"));
        let more = "lamprey show --image k --image l x-1 --mail";
        assert_eq!(context.more.as_deref(), Some(more));
        assert_eq!(Commands::new("lamprey", &guests).context(None).replay, None);
        let guests = GuestArgs {
            target: Some(TargetArg::Bare),
            is_target_typed: true,
            ..GuestArgs::default()
        };
        let context = Commands::new("lamprey", &guests).context(Some("x-1"));
        let replay = "lamprey replay --target x86_64-unknown-none x-1";
        assert_eq!(context.replay.as_deref(), Some(replay));
    }

    #[test]
    fn paths_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
        assert_eq!(quoted(Path::new("a/b-c_1.elf")), "a/b-c_1.elf");
    }
}
