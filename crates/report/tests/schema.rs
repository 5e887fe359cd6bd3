//! `docs/check.schema.json` describes what `lamprey check --format json` prints.
//!
//! `cargo xtask bless schema` writes it from the types.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use outcome::{
    AccessKind, Agent, Budget, Cause, Cr3, Details, EntryLevel, Exception, Hex, Kept, Lam, Level,
    Object, Oddity, Outcome, PhysicalFrame, Reason, Region, Route, SoloPart, UserMemory, Verdict,
    Waiting, Warning, What,
};
use serde_json::{Map, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_schema_in_the_documentation_is_that_of_the_types() {
    let path = root().join("docs/check.schema.json");
    let now = format!("{:#}\n", report::schema().as_value());
    snapshot::assert_none(snapshot::difference(&path, &now).as_slice(), "schema");
}

/// Every outcome of `tests/ui`, and one for each kind of fact that is not among them, has exactly the keys of
/// the schema; and there is no kind in the schema that none of them has.
#[test]
fn outputs_are_as_the_schema_says() {
    let schema = report::schema().to_value();
    let mut checker = Checker { schema: &schema, seen: BTreeSet::new() };
    let outcomes: Vec<Outcome> = fixtures().into_iter().collect();
    let example = outcomes.iter().find(|outcome| outcome.finding.is_some()).expect("a finding");
    let made = made(example);
    for outcome in outcomes.iter().chain(&made) {
        let json = report::json(outcome, &report::Context::default());
        let wrong = checker.check(&json, &schema, &outcome.scenario);
        assert_eq!(wrong, Ok(()), "{json:#}");
    }
    let mut kinds = BTreeSet::new();
    collect(&schema, &mut kinds);
    let unseen: Vec<&String> = kinds.difference(&checker.seen).collect();
    assert!(kinds.len() > 50 && unseen.is_empty(), "of no outcome: {unseen:?}");
}

/// A wrong key, a missing one, a wrong kind and a wrong type are all noticed.
#[test]
fn what_is_not_as_the_schema_says_is_noticed() {
    let schema = report::schema().to_value();
    let outcome = fixtures().into_iter().find(|outcome| outcome.finding.is_some());
    let outcome = outcome.expect("a finding");
    let json = report::json(&outcome, &report::Context::default());
    let check = |json: &Value| {
        Checker { schema: &schema, seen: BTreeSet::new() }.check(json, &schema, "it").is_ok()
    };
    assert!(check(&json));
    let spoilt = |spoil: &dyn Fn(&mut Value)| {
        let mut json = json.clone();
        spoil(&mut json);
        json
    };
    let event = "/finding/events/0";
    for wrong in [
        spoilt(&|json| json["more"] = Value::Null),
        spoilt(&|json| drop(json.as_object_mut().map(|json| json.remove("steps")))),
        spoilt(&|json| json["verdict"] = "skip".into()),
        spoilt(&|json| json.pointer_mut(event).expect("an event")["step"] = "1".into()),
        spoilt(&|json| json.pointer_mut(event).expect("an event")["what"]["kind"] = "x".into()),
        spoilt(&|json| json.pointer_mut(event).expect("an event")["instruction"] = 1.into()),
    ] {
        assert!(!check(&wrong), "{wrong:#}");
    }
}

fn fixtures() -> Vec<Outcome> {
    let entries = fs::read_dir(root().join("tests/ui")).expect("tests/ui is there");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let read = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join("outcome.json")).expect("an outcome");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    };
    folders.into_iter().map(read).collect()
}

/// Outcomes like `example` with every kind of fact.
fn made(example: &Outcome) -> Vec<Outcome> {
    let mut all = Vec::new();
    let finding = example.finding.as_ref().expect("it has one");
    for details in all_details() {
        let finding = outcome::Finding { details, ..finding.clone() };
        all.push(Outcome { finding: Some(finding), ..example.clone() });
    }
    for user_memory in [UserMemory::Retain, UserMemory::Eager] {
        let bounds = outcome::Bounds { user_memory, ..Default::default() };
        all.push(Outcome { bounds: Some(bounds), ..example.clone() });
    }
    let mut finding = finding.clone();
    let event = finding.events[0].clone();
    finding.events.extend(all_events().map(|what| outcome::Event { what, ..event.clone() }));
    let warning = |what| Warning { symbol: "flush+0x1".into(), what };
    let warnings = [Oddity::FastString, Oddity::Invlpg { va: Hex(1 << 62) }].map(warning).into();
    all.push(Outcome { finding: Some(finding), warnings, ..example.clone() });
    for cause in all_causes() {
        let place = outcome::Place { symbol: "f+0x1".into(), file: None, line: None };
        let reason = Reason { cause, place: Some(place), instruction: None, cpu: Some(1) };
        let verdict = Verdict::Undecided;
        all.push(Outcome { reason: Some(reason), finding: None, verdict, ..example.clone() });
    }
    all
}

fn frame() -> PhysicalFrame {
    PhysicalFrame { address: Hex(0x1000), name: None, root_of: Some("A".into()) }
}

fn object() -> Object {
    object_in(Region::Stack { owner: None })
}

fn object_in(region: Region) -> Object {
    let region = Some(region);
    Object { address: Hex(u64::MAX), size: 4, name: None, region, is_part: false }
}

fn value() -> outcome::Value {
    outcome::Value { bits: Hex(1), name: Some("LAM_U57".into()) }
}

fn cr3(lam: Lam) -> Cr3 {
    let root = Hex(0x1000);
    Cr3 { bits: Hex(0x1001), pcid: Some(1), root, mm: Some("A".into()), lam, noflush: false }
}

fn routes() -> [Route; 7] {
    let (va, level) = (Hex(0x40_0000), EntryLevel::Pde);
    [
        Route::Walk { va },
        Route::Entries { level, va },
        Route::Kept { entry: Kept::Page { va, frame: frame(), pcid: None } },
        Route::Kept {
            entry: Kept::Table { level: EntryLevel::Pml4e, va, frame: frame(), pcid: 1 },
        },
        Route::Entries { level: EntryLevel::Pte, va },
        Route::Partly { level: EntryLevel::Pdpte, va },
        Route::Partly { level: EntryLevel::Pml5e, va },
    ]
}

fn all_details() -> Vec<Details> {
    let thread = Agent { cpu: 0, level: Level::Thread };
    let nmi = Agent { cpu: 1, level: Level::Nmi };
    let object = object();
    let waiting = vec![Waiting { cpu: 0, is_halted: true, place: None }];
    let mut all = vec![
        Details::Fault {
            exception: Exception { vector: 14, code: 6 },
            address: Some(object.clone()),
            instruction: None,
            lacks: Some("AVX".into()),
        },
        Details::Endless,
        Details::InterruptsOff { cpu: 1 },
        Details::FreedUnderStore { cpu: 1, frame: frame() },
        Details::FreedTwice { cpu: 0, frame: frame() },
        Details::StackUseAfterReturn {
            by: nmi,
            access: AccessKind::Write,
            owner: thread,
            object,
            below: 8,
        },
        Details::Deadlock { waiting: waiting.clone() },
        Details::Livelock { waiting },
    ];
    for route in routes() {
        all.push(Details::FreedFrame { cpu: 1, frame: frame(), route: route.clone() });
        all.push(Details::FreedTable { cpu: 1, frame: frame(), route });
    }
    all
}

fn all_events() -> impl Iterator<Item = What> {
    let simple = [
        What::WriteRegister { register: "CR4".into(), old: Hex(0), value: Hex(1) },
        What::Invlpg { va: Hex(0), is_canonical: true },
        What::Invpcid { operation: 1, pcid: 1, va: Hex(0) },
        What::FrameFreed { frame: frame() },
        What::Drained { object: object(), old: value(), value: value() },
        What::WriteCr3 { old: cr3(Lam::Off), value: cr3(Lam::U48) },
        What::User { access: AccessKind::Execute, pointer: Hex(0), fault: None },
        What::Choose { of: 2, picked: 1 },
        What::Interrupts { on: false },
        What::Mark { name: "m".into() },
        What::Note { text: "n".into() },
        What::Halt,
        What::End,
    ];
    let owner = Some(Agent { cpu: 1, level: Level::Interrupt });
    let regions = [Region::SetUpHeap, Region::Arena { owner }, Region::Guard { owner }];
    let reads = regions.map(|at| What::Read { object: object_in(at), value: value() });
    simple.into_iter().chain(reads).chain(routes().map(|route| What::Stale { route }))
}

fn all_causes() -> Vec<Cause> {
    let text = || "text".to_owned();
    let mut all = vec![
        Cause::NotModelled { what: text() },
        Cause::Misuse { call: text(), what: text() },
        Cause::Interrupted,
        Cause::NoCpu,
        Cause::Discarded,
        Cause::NoMark,
        Cause::Unreached { marks: vec![text()] },
        Cause::NothingViolated,
        Cause::NoReplay { error: text() },
        Cause::TooLarge { image: 1, needed: 2, budget: 1 },
        Cause::NoStart { what: text() },
    ];
    all.extend([Budget::States, Budget::Memory, Budget::Time].map(|of| Cause::Budget { of }));
    let parts = [SoloPart::SetUp, SoloPart::Invariant, SoloPart::FinalCheck];
    all.extend(parts.map(|part| Cause::CutOff { part, interrupted: false }));
    all
}

/// Every `const` and `enum` value in a schema.
fn collect(schema: &Value, kinds: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            let constant = map.get("const").into_iter();
            let constants = map.get("enum").and_then(Value::as_array).into_iter().flatten();
            kinds.extend(constant.chain(constants).map(ToString::to_string));
            map.values().for_each(|value| collect(value, kinds));
        }
        Value::Array(all) => all.iter().for_each(|value| collect(value, kinds)),
        _ => {}
    }
}

/// Holds a value against a schema, more strictly than a validator does: no key may be missing or be more.
struct Checker<'a> {
    schema: &'a Value,
    /// The constants that were met.
    seen: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    fn check(&mut self, value: &Value, schema: &'a Value, at: &str) -> Result<(), String> {
        let Value::Object(schema) = schema else { return Err(format!("{at}: no schema")) };
        if let Some(Value::String(name)) = schema.get("$ref") {
            let target = name.strip_prefix('#').and_then(|pointer| self.schema.pointer(pointer));
            let target = target.ok_or_else(|| format!("{at}: {name} leads nowhere"))?;
            self.check(value, target, at)?;
        }
        for (keyword, wanted) in schema {
            self.keyword(value, schema, (keyword, wanted), at)?;
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        value: &Value,
        schema: &'a Map<String, Value>,
        (keyword, wanted): (&str, &'a Value),
        at: &str,
    ) -> Result<(), String> {
        let is_right = match keyword {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" | "$ref"
            | "required" => true,
            "type" => match wanted {
                Value::Array(any) => any.iter().any(|one| is_of_type(value, one)),
                one => is_of_type(value, one),
            },
            "const" => self.meets(value, std::slice::from_ref(wanted)),
            "enum" => self.meets(value, wanted.as_array().map_or(&[], Vec::as_slice)),
            "minimum" => value.as_f64() >= wanted.as_f64() || value.is_null(),
            "maximum" => value.as_f64() <= wanted.as_f64() || value.is_null(),
            "pattern" => is_hexadecimal(value, wanted),
            "properties" => return self.properties(value, schema, at),
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                for (index, item) in items {
                    self.check(item, wanted, &format!("{at}[{index}]"))?;
                }
                true
            }
            "oneOf" | "anyOf" => {
                let alternatives = wanted.as_array().ok_or("a list of alternatives")?;
                let fits = alternatives.iter().map(|one| self.check(value, one, at));
                let fits: Vec<Result<(), String>> = fits.collect();
                if !fits.iter().any(Result::is_ok) {
                    return Err(format!("{at}: {fits:?}"));
                }
                true
            }
            _ => return Err(format!("{at}: the keyword {keyword} is not known here")),
        };
        if is_right { Ok(()) } else { Err(format!("{at}: {value} is not {keyword} {wanted}")) }
    }

    /// A constant that is met.
    fn meets(&mut self, value: &Value, constants: &[Value]) -> bool {
        let met = constants.contains(value);
        if met {
            self.seen.insert(value.to_string());
        }
        met
    }

    fn properties(
        &mut self,
        value: &Value,
        schema: &'a Map<String, Value>,
        at: &str,
    ) -> Result<(), String> {
        let Value::Object(value) = value else { return Ok(()) };
        let wanted = schema["properties"].as_object().ok_or("properties are an object")?;
        if let Some(more) = value.keys().find(|key| !wanted.contains_key(*key)) {
            return Err(format!("{at}.{more} is not in the schema"));
        }
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, schema) in wanted {
            if !required.contains(&**key) {
                return Err(format!("{at}.{key} is not required, and always there"));
            }
            let part = value.get(key).ok_or_else(|| format!("{at}.{key} is missing"))?;
            self.check(part, schema, &format!("{at}.{key}"))?;
        }
        Ok(())
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    }
}

/// The one pattern there is.
fn is_hexadecimal(value: &Value, pattern: &Value) -> bool {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).unwrap_or_default();
    pattern == "^0x[0-9a-f]{1,16}$"
        && (1..=16).contains(&digits.len())
        && digits.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'))
}
