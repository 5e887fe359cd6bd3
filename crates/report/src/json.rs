//! An outcome for other tools.

use outcome::{Bounds, Finding, ImageId, Mark, Outcome, Reason, Verdict, Warning};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::sentences;
use crate::{Context, first_line};

/// Version of all objects that are printed: raised where a key is removed or changes its meaning.
pub const VERSION: u32 = 2;

/// The object that `lamprey check --format json` prints of one scenario.
///
/// All keys are always there, and `null` where there is nothing to say. Keys may be added; none changes its
/// meaning within a version.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Lamprey's outcome of one scenario")]
struct Document<'a> {
    /// The version of this format.
    version: u32,
    /// The scenario: `crate::module::function`.
    name: &'a str,
    /// The first paragraph of its documentation.
    about: &'a str,
    /// The verdict.
    verdict: Verdict,
    /// The violated property.
    property: Option<&'a str>,
    /// The property that the scenario declares to violate.
    finds: Option<&'a str>,
    /// `lamprey: PROPERTY in FUNC1 / FUNC2`, to group findings by; without a finding
    /// `lamprey: VERDICT: NAME`.
    key: String,
    /// CPUs that run something.
    cpus: u8,
    /// Distinct states in the last round of the search.
    states: u64,
    /// Steps taken in the last round.
    transitions: u64,
    /// Steps taken in all rounds.
    transitions_all: u64,
    /// Guest instructions executed in all rounds.
    instructions: u64,
    /// Most steps from the initial state to any state.
    depth: u32,
    /// Context switches of the counterexample; of an undecided search the bound up to which every run is
    /// known, null where none is.
    switches: Option<u32>,
    /// That bound does not hold for runs that go on for ever.
    livelocks_apart: bool,
    /// Rounds until the set of shared words no longer grew.
    rounds: u32,
    /// Words found to be shared.
    shared_words: u32,
    /// Steps of the counterexample.
    steps: Option<u32>,
    /// Wall-clock seconds.
    seconds: f64,
    /// Bytes the search held at its peak.
    peak_memory: u64,
    /// Bytes per stored state.
    bytes_per_state: f64,
    /// Legal actions of the guest that are probably mistakes, whatever the verdict.
    warnings: &'a [Warning],
    /// Marks declared or reached.
    marks: &'a [Mark],
    /// The bounds of the verdict; null where no machine could be made.
    bounds: Option<&'a Bounds>,
    /// The reason to claim nothing.
    reason: Option<&'a Reason>,
    /// The counterexample.
    finding: Option<&'a Finding>,
    /// The image that was run.
    image: &'a ImageId,
    /// The name of the trail.
    trail: Option<&'a str>,
    /// The command that runs the trail again.
    replay: Option<&'a str>,
    /// The sentences of the text form. They may be reworded at any time; the facts are in the other keys.
    words: Words,
}

/// Sentences of the text form.
#[derive(Serialize, JsonSchema)]
struct Words {
    /// The violation.
    sentence: Option<String>,
    /// The value that the property asks for.
    expected: Option<String>,
    /// The value that there is instead.
    found: Option<String>,
    /// The reason to claim nothing.
    reason: Option<String>,
    /// The bounds of the verdict.
    bounds: Vec<String>,
    /// Warnings.
    warnings: Vec<String>,
}

/// Returns the outcome as one object. [`schema`] describes it.
///
/// # Panics
///
/// Never: all keys are strings.
pub fn json(outcome: &Outcome, context: &Context) -> Value {
    let stats = &outcome.stats;
    let finding = outcome.finding.as_ref();
    let document = Document {
        version: VERSION,
        name: &outcome.scenario,
        about: &outcome.about,
        verdict: outcome.verdict,
        property: finding.map(|finding| &*finding.property),
        finds: outcome.finds.as_deref(),
        key: first_line(outcome),
        cpus: outcome.cpus,
        states: stats.states,
        transitions: stats.transitions,
        transitions_all: stats.transitions_all,
        instructions: stats.instructions,
        depth: stats.depth,
        switches: finding.map_or(stats.switches, |finding| Some(finding.switches)),
        livelocks_apart: stats.livelocks_apart,
        rounds: stats.rounds,
        shared_words: stats.shared_words,
        steps: finding.map(|finding| finding.steps),
        seconds: stats.seconds,
        peak_memory: stats.peak_bytes,
        bytes_per_state: stats.bytes_per_state,
        warnings: &outcome.warnings,
        marks: &outcome.marks,
        bounds: outcome.bounds.as_ref(),
        reason: outcome.reason.as_ref(),
        finding,
        image: &outcome.image,
        trail: context.trail.as_deref(),
        replay: context.replay.as_deref(),
        words: words(outcome),
    };
    serde_json::to_value(document).expect("all keys are strings")
}

fn words(outcome: &Outcome) -> Words {
    let finding = outcome.finding.as_ref();
    Words {
        sentence: finding.map(sentences::sentence),
        expected: finding.and_then(sentences::expected),
        found: finding.and_then(sentences::found),
        reason: sentences::reason(outcome),
        bounds: outcome.bounds.as_ref().map(sentences::bounds_in_words).unwrap_or_default(),
        warnings: outcome.warnings.iter().map(sentences::warning).collect(),
    }
}

/// Returns the JSON Schema of what [`json`] gives, as in `docs/check.schema.json`.
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    // Keys may be added.
    let open = RecursiveTransform(|schema: &mut Schema| {
        schema.remove("additionalProperties");
    });
    settings.with_transform(open).into_generator().into_root_schema_for::<Document<'_>>()
}
