//! `show`: a kept result in another form. Builds and runs nothing.

use report::Options;

use crate::args::Show;
use crate::commands::Commands;
use crate::error::Error;
use crate::exit::Exit;
use crate::guests::Origin;
use crate::ui::Ui;

/// Carries out `show`.
pub(crate) fn show(program: &str, args: &Show, ui: &mut Ui) -> Result<Exit, Error> {
    let store = Origin::of(&args.source)?.store();
    let record = match &args.trail {
        Some(name) => store.find(name)?,
        None => store.newest_finding()?,
    };
    let outcome = &record.outcome;
    let context = Commands::new(program, &args.source).context(record.trail.as_deref());
    let options = Options { raw: args.raw, ..ui.options().clone() };
    let form = &args.form;
    if form.json {
        ui.print(&format!("{:#}\n", report::json(outcome, &context)))?;
    } else if form.mail {
        // A mail is for elsewhere: never coloured.
        ui.print(&report::mail(outcome, &context).to_string())?;
    } else if form.asm {
        ui.report(&report::asm(outcome, &context, &options))?;
    } else {
        ui.report(&report::columns(outcome, &context, &options))?;
    }
    Ok(Exit::Passed)
}
