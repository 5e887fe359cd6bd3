//! `cargo xtask man`: manual pages, from the definitions of the command line.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::project;

/// Writes `lamprey.1` and `lamprey-COMMAND.1` to `folder`, by default `target/man`.
///
/// # Errors
///
/// If the folder cannot be made or a page not written.
pub(crate) fn run(folder: Option<&Path>) -> anyhow::Result<()> {
    let folder = folder.map_or_else(|| project::target().join("man"), Path::to_owned);
    let shown = folder.display();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {shown}"))?;
    clap_mangen::generate_to(lamprey_cli::command(), &folder)
        .with_context(|| format!("cannot write manual pages to {shown}"))?;
    println!("{shown}");
    Ok(())
}
