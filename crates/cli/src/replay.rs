//! `replay`: runs one trail again.

use check::Trail;
use unicode_width::UnicodeWidthStr;

use crate::args::{ReplayArgs, StyleArgs};
use crate::commands::Commands;
use crate::error::{Error, ReplayFailure};
use crate::exit::Exit;
use crate::guests::{self, Opened, Origin};
use crate::ui::Ui;

/// Runs `replay`.
pub(crate) fn replay(
    program: &str,
    args: &ReplayArgs,
    style: &StyleArgs,
    ui: &mut Ui,
) -> Result<Exit, Error> {
    let origin = Origin::of(&args.guests)?;
    let store = origin.store();
    let (path, text) = store.find_trail(&args.trail)?;
    let trail = Trail::parse(&text)
        .map_err(|reason| ReplayFailure::Broken { path: path.clone(), reason })?;
    let guests = origin.open(style, ui)?;
    // A file from elsewhere is not copied: a saved trail may have the same name.
    let name = store.name_of(&path);
    let called = name.as_ref().unwrap_or(&args.trail);
    let opened = guest_of(&guests, &trail, called)?;
    if !is_made_with(&trail, opened) {
        let (now, then) = (&opened.guest.image_id().id, &trail.image_id().id);
        ui.warn(match then.is_empty() {
            true => "this trail does not name the image it was made with; trying it anyway".into(),
            false => format!(
                "the image has changed since this trail was made: it was {then} and is {now}; \
                 trying it anyway"
            ),
        });
    }
    let outcome = check::replay(&opened.guest, &trail).map_err(|error| ReplayFailure::NoFit {
        trail: called.clone(),
        reason: error.to_string(),
    })?;
    if let Some(finding) = &outcome.finding
        && ![&*finding.property, ""].contains(&trail.property())
    {
        ui.warn(format!(
            "the trail claims to violate {}, but its run violates {}",
            trail.property(),
            finding.property
        ));
    }
    let commands = Commands::new(program, &args.guests);
    let context = match &name {
        Some(name) => commands.context(Some(name)),
        None => commands.context_of_file(&path, trail.scenario()),
    };
    // The result that the check saved has more: the figures of the search.
    let is_kept = name.as_deref().is_some_and(|name| store.has(name));
    let trail = name.as_deref().map(|name| (name, &*text));
    if !is_kept && let Err(error) = store.save(&outcome, trail) {
        ui.warn(format!("the result is not saved for `show`: {error}"));
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

/// Returns a guest with the trail's scenario, preferably the one that the trail was made with.
fn guest_of<'g>(
    guests: &'g [Opened],
    trail: &Trail,
    name: &str,
) -> Result<&'g Opened, ReplayFailure> {
    let scenarios = guests::scenarios(guests).into_iter();
    let mut having =
        scenarios.filter(|(_, scenario)| scenario.name == trail.scenario()).map(|(guest, _)| guest);
    let first = having.next().ok_or_else(|| ReplayFailure::NoScenario {
        trail: name.to_owned(),
        scenario: trail.scenario().to_owned(),
    })?;
    let same = |opened: &&Opened| is_made_with(trail, opened);
    Ok(Some(first).filter(same).or_else(|| having.find(same)).unwrap_or(first))
}

/// Returns whether the trail was made with this image. A trail does not name the compiler.
fn is_made_with(trail: &Trail, opened: &Opened) -> bool {
    opened.guest.image_id().id == trail.image_id().id
}
