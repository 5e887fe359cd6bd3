//! `show`: prints a saved result in another form. Builds and runs nothing.

use report::Options;

use crate::args::ShowArgs;
use crate::commands::Commands;
use crate::error::Error;
use crate::exit::Exit;
use crate::guests::Origin;
use crate::ui::Ui;

/// Runs `show`.
pub(crate) fn show(program: &str, args: &ShowArgs, ui: &mut Ui) -> Result<Exit, Error> {
    let store = Origin::of(&args.guests)?.store();
    let record = match &args.trail {
        Some(name) => store.find(name)?,
        None => store.newest_finding()?,
    };
    let outcome = &record.outcome;
    let context = Commands::new(program, &args.guests).context(record.trail.as_deref());
    let options = Options { raw: args.raw, ..ui.options().clone() };
    let form = args.form.0;
    let text = form.render(outcome, &context, &options);
    match form.is_for_terminals() {
        true => ui.report(&text)?,
        false => ui.print(&text.to_string())?,
    }
    Ok(Exit::Passed)
}
