//! `replay`: one trail again.

use check::Trail;
use unicode_width::UnicodeWidthStr;

use crate::args::{Look, Replay};
use crate::commands::Commands;
use crate::error::{Error, ReplayError};
use crate::exit::Exit;
use crate::guests::{self, Opened, Origin};
use crate::ui::Ui;

/// Carries out `replay`.
pub(crate) fn replay(
    program: &str,
    args: &Replay,
    look: &Look,
    ui: &mut Ui,
) -> Result<Exit, Error> {
    let origin = Origin::of(&args.source)?;
    let store = origin.store();
    let (path, text) = store.find_trail(&args.trail)?;
    let trail =
        Trail::parse(&text).map_err(|reason| ReplayError::Broken { path: path.clone(), reason })?;
    let guests = origin.open(look, ui)?;
    // A file from elsewhere stays where it is: a trail we keep may have its name.
    let name = store.name_of(&path);
    let called = name.as_ref().unwrap_or(&args.trail);
    let opened = guest_of(&guests, &trail, called)?;
    if !is_made_with(&trail, opened) {
        let (now, then) = (&opened.guest.image_id().id, &trail.image_id().id);
        ui.warn(match then.is_empty() {
            true => {
                "this trail does not say which image it was made with; trying all the same".into()
            }
            false => format!(
                "the image has changed since this trail was made: it was {then} and is {now}; \
                 trying all the same"
            ),
        });
    }
    let outcome = check::replay(&opened.guest, &trail)
        .map_err(|error| ReplayError::NoFit { trail: called.clone(), reason: error.to_string() })?;
    if let Some(finding) = &outcome.finding
        && ![&*finding.property, ""].contains(&trail.property())
    {
        ui.warn(format!(
            "the trail is said to violate {}; what its run violates is {}",
            trail.property(),
            finding.property
        ));
    }
    let commands = Commands::new(program, &args.source);
    let context = match &name {
        Some(name) => commands.context(Some(name)),
        None => commands.context_of_file(&path, trail.scenario()),
    };
    // What the check itself kept knows more: the figures of the search.
    let is_kept = name.as_deref().is_some_and(|name| store.has(name));
    let trail = name.as_deref().map(|name| (name, &*text));
    if !is_kept && let Err(error) = store.keep(&outcome, trail) {
        ui.warn(format!("the result is not kept for `show`: {error}"));
    }
    if ui.quiet() {
        let width = outcome.scenario.width();
        ui.report(&report::verdict_line(&outcome, width, ui.options()))?;
    } else {
        ui.report(&report::columns(&outcome, &context, ui.options()))?;
        ui.print("\n")?;
        ui.report(&report::bounds(std::slice::from_ref(&outcome), ui.options()))?;
    }
    Ok(Exit::of([outcome.verdict]))
}

/// The guest that has the trail's scenario; the one the trail was made with, if it is there.
fn guest_of<'g>(
    guests: &'g [Opened],
    trail: &Trail,
    name: &str,
) -> Result<&'g Opened, ReplayError> {
    let scenarios = guests::scenarios(guests).into_iter();
    let mut having =
        scenarios.filter(|(_, scenario)| scenario.name == trail.scenario()).map(|(guest, _)| guest);
    let first = having.next().ok_or_else(|| ReplayError::NoScenario {
        trail: name.to_owned(),
        scenario: trail.scenario().to_owned(),
    })?;
    let same = |opened: &&Opened| is_made_with(trail, opened);
    Ok(Some(first).filter(same).or_else(|| having.find(same)).unwrap_or(first))
}

/// Is it the very image? A trail does not say which compiler made it.
fn is_made_with(trail: &Trail, opened: &Opened) -> bool {
    opened.guest.image_id().id == trail.image_id().id
}
