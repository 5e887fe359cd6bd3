//! Running a trail again.

use std::fmt;

use crate::{Choice, Model, Stop, Words};

/// Where a replayed trail led.
#[derive(Clone, Debug)]
pub struct Replayed<S, B, G> {
    /// The last state; of a run that stopped, as far as it got; none if set-up stopped.
    pub state: Option<S>,
    /// Why the run stopped, if it did, in its last step or at its last state.
    pub stop: Option<Stop<B, G>>,
    /// The choices there are after the trail; none after a stop.
    pub choices: Vec<Choice>,
    /// Whether the run did not stop and has ended properly.
    pub ended: bool,
}

/// Why a trail cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// A choice is not among those of its state.
    NotPossible {
        /// The position in the trail, from 0.
        step: usize,
        /// The choice.
        choice: Choice,
        /// What was possible.
        possible: Vec<Choice>,
    },
    /// The run stopped before the trail was used up.
    Stopped {
        /// The first position not replayed.
        step: usize,
        /// The choices not replayed.
        left: usize,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::NotPossible { step, choice: Choice { agent, pick }, possible } => {
                write!(f, "step {step}: agent {agent} cannot take pick {pick}; possible:")?;
                if possible.is_empty() {
                    write!(f, " nothing")?;
                }
                possible.iter().try_for_each(|c| write!(f, " {}.{}", c.agent, c.pick))
            }
            ReplayError::Stopped { step, left } => {
                write!(f, "the run stopped before step {step}, {left} choices are left")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

/// Runs exactly the choices of `trail` with exactly the words of `shared` as
/// scheduling points, and calls `visit` after each with its position, itself
/// and the state it led to (of a step that stopped: as far as it got).
///
/// # Errors
///
/// At which step the trail left what is possible.
#[expect(clippy::type_complexity, reason = "an alias would hide which types are the model's")]
pub fn replay<M: Model>(
    model: &mut M,
    shared: &[u32],
    trail: &[Choice],
    visit: &mut dyn FnMut(usize, Choice, &M::State),
) -> Result<Replayed<M::State, M::Bad, M::Gap>, ReplayError> {
    let mut words = Words::fixed(shared);
    let mut state = match model.initial(&mut words) {
        Ok(state) => state,
        Err(stop) => return stopped(None, stop, 0, trail),
    };
    if let Err(stop) = model.inspect(&state, &mut words) {
        return stopped(Some(state), stop, 0, trail);
    }
    let mut choices = Vec::new();
    model.choices(&state, &mut choices);
    for (step, &choice) in trail.iter().enumerate() {
        if !choices.contains(&choice) {
            return Err(ReplayError::NotPossible { step, choice, possible: choices });
        }
        words.begin_step();
        let outcome = model.step(&mut state, choice, &mut words);
        visit(step, choice, &state);
        let outcome = outcome.and_then(|()| model.inspect(&state, &mut words));
        if let Err(stop) = outcome {
            return stopped(Some(state), stop, step + 1, trail);
        }
        choices.clear();
        model.choices(&state, &mut choices);
    }
    let waits = choices.iter().all(|choice| model.optional(&state, *choice));
    let ended = waits && model.ended(&state);
    Ok(Replayed { state: Some(state), stop: None, choices, ended })
}

/// The outcome of a run that stopped before `step`.
fn stopped<S, B, G>(
    state: Option<S>,
    stop: Stop<B, G>,
    step: usize,
    trail: &[Choice],
) -> Result<Replayed<S, B, G>, ReplayError> {
    let left = trail.len() - step;
    if left > 0 {
        return Err(ReplayError::Stopped { step, left });
    }
    Ok(Replayed { state, stop: Some(stop), choices: Vec::new(), ended: false })
}
