//! `help`: pages, and the help of commands.

use clap::Command;

use crate::exit::Exit;

/// Name and text of each page. `{codes}` and `{bounds}` are filled in.
const PAGES: [(&str, &str); 3] = [
    ("exit-codes", include_str!("pages/exit-codes.md")),
    ("formats", include_str!("pages/formats.md")),
    ("model", include_str!("pages/model.md")),
];

/// There is neither a page nor a command of that name.
#[derive(Debug, thiserror::Error)]
#[error("no help on `{0}`; there are exit-codes, formats, model, and the commands")]
pub(crate) struct NoPage(String);

/// Returns the page on `topic`, or the help of that command; without a topic, the general help.
pub(crate) fn page(topic: Option<&str>, command: &mut Command) -> Result<String, NoPage> {
    let Some(topic) = topic else {
        return Ok(command.render_help().to_string());
    };
    if let Some((_, text)) = PAGES.iter().find(|(name, _)| *name == topic) {
        return Ok(text.replace("{codes}", &codes()).replace("{bounds}", &bounds()));
    }
    // Fills in the properties that a command inherits.
    command.build();
    match command.find_subcommand_mut(topic) {
        Some(command) => Ok(command.render_long_help().to_string()),
        None => Err(NoPage(topic.to_owned())),
    }
}

fn codes() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>4}  {}", exit.code(), exit.meaning()));
    lines.join("\n")
}

fn bounds() -> String {
    let bounds = check::bounds(check::Config::default(), true, None);
    let all = report::bounds_in_words(&bounds).into_iter();
    all.map(|bound| format!("  - {bound}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::CommandLine;

    #[test]
    fn pages_are_filled_in_and_narrow() {
        for (name, _) in PAGES {
            let text = page(Some(name), &mut CommandLine::command()).expect("a page");
            assert!(!text.contains('{') || name == "formats", "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 79), "{name}: {text}");
        }
    }

    #[test]
    fn commands_have_help_and_nothing_else_has() {
        let help = page(Some("check"), &mut CommandLine::command()).expect("a command");
        assert!(help.contains("--fail-fast"), "{help}");
        assert!(page(Some("nonsense"), &mut CommandLine::command()).is_err());
    }
}
