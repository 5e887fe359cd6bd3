//! A trail run again.

use std::time::Instant;

use abi::property::Property;
use explore::Words;
use outcome::Outcome;

use crate::guest::Guest;
use crate::judge::{blank, bounds_of, cpus, verdict_of};
use crate::model::Model;
use crate::tell::Teller;
use crate::trail::{ReplayError, Trail};

/// Runs a trail again and tells the same story.
///
/// # Errors
///
/// The trail does not fit: says at which step and why.
pub fn replay(guest: &Guest, trail: &Trail) -> Result<Outcome, ReplayError> {
    let start = Instant::now();
    let scenario = guest
        .scenarios()
        .iter()
        .find(|scenario| scenario.name == trail.scenario())
        .ok_or_else(|| ReplayError::NoScenario(trail.scenario().into()))?;
    let changed = if guest.image_id().id == trail.image_id().id {
        ""
    } else {
        " (the image has changed since the trail was written)"
    };
    let mut model = Model::new(guest, scenario, trail.config()).map_err(ReplayError::Start)?;
    let words = model.machine.words();
    if let Some(&word) = trail.shared.iter().find(|word| **word >= words) {
        return Err(ReplayError::Word { word, words, changed });
    }
    let choices = trail.choices();
    let told = Teller {
        guest,
        scenario,
        model: &mut model,
        words: Words::fixed(&trail.shared),
        changed,
        livelock: trail.property() == Property::Livelock.name(),
    }
    .tell(&choices, None)?;
    let mut outcome = blank(guest, scenario);
    outcome.verdict = verdict_of(scenario, &told.finding.property);
    outcome.cpus = cpus(&model);
    outcome.bounds = Some(bounds_of(guest, &model));
    outcome.stats.switches = Some(told.finding.switches);
    outcome.stats.depth = told.finding.steps;
    outcome.stats.transitions = u64::from(told.finding.steps);
    outcome.stats.instructions = model.machine.instructions();
    outcome.stats.seconds = start.elapsed().as_secs_f64();
    outcome.finding = Some(told.finding);
    Ok(outcome)
}
