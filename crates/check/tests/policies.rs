//! What finds the bugs of `scenarios/tlb`: each scenario under every filling of TLBs and memory model.
//!
//! `scenarios/tlb/policies.txt` says what comes out, and `cargo xtask bless policies` rewrites it. Its meaning is in the
//! documentation of each scenario: what is found without a TLB is no missing flush.

mod common;

use std::ops::ControlFlow;

use check::{Config, Fill, Guest, Limits, MemoryModel, Scenario};
use outcome::Verdict;

const MODELS: [(&str, MemoryModel); 2] = [("tso", MemoryModel::Tso), ("sc", MemoryModel::Sc)];

/// Each allows what the next one does.
const FILLS: [(&str, Fill); 3] =
    [("adversarial", Fill::Adversarial), ("retain", Fill::Retain), ("eager", Fill::Eager)];

#[test]
fn each_policy_finds_what_its_scenario_says() {
    let image = common::build("scenarios", "tlb");
    let guest = Guest::open(&image).unwrap_or_else(|error| panic!("{error}"));
    let mut lines: Vec<String> =
        guest.scenarios().iter().map(|scenario| line(&guest, scenario)).collect();
    lines.sort();
    let text = format!("# scenario: what finds something\n{}\n", lines.join("\n"));
    let path = common::repository().join("scenarios/tlb/policies.txt");
    snapshot::assert_none(snapshot::difference(&path, &text).as_slice(), "policies");
}

/// A store buffer may be emptied at once, so what is found without any takes no more with them.
#[test]
fn store_buffers_need_no_more_switches() {
    for name in ["seed", "tlb"] {
        let image = common::build("scenarios", name);
        let guest = Guest::open(&image).unwrap_or_else(|error| panic!("{error}"));
        for scenario in guest.scenarios().iter().filter(|scenario| scenario.finds.is_some()) {
            let [tso, sc] = MODELS.map(|(_, memory_model)| {
                let config = Config { memory_model, ..Config::default() };
                let limits = Limits { config, ..Limits::default() };
                check::check(&guest, scenario, &limits, &mut |_| ControlFlow::Continue(())).outcome
            });
            assert_eq!(common::needs_more_switches(&tso, &sc), None, "{}", scenario.name);
        }
    }
}

/// The scenario and the policies that find something.
fn line(guest: &Guest, scenario: &Scenario) -> String {
    let mut found = Vec::new();
    for (model, memory_model) in MODELS {
        let verdicts = FILLS.map(|(_, fill)| {
            let config = Config { fill, memory_model, ..Config::default() };
            let limits = Limits { config, ..Limits::default() };
            check::check(guest, scenario, &limits, &mut |_| ControlFlow::Continue(()))
                .outcome
                .verdict
        });
        for ((fill, _), verdict) in FILLS.iter().zip(verdicts) {
            match (verdict, scenario.finds.is_some()) {
                (Verdict::Found, true) => found.push(format!("{model}/{fill}")),
                (Verdict::Pass, false) | (Verdict::Lost, true) => {}
                _ => panic!("{}: {verdict:?} under {model} and {fill}", scenario.name),
            }
        }
        let order = verdicts.map(|verdict| verdict == Verdict::Found);
        assert!(order.is_sorted_by(|more, less| more >= less), "{}: {verdicts:?}", scenario.name);
    }
    if found.is_empty() {
        found.push("holds".into());
    }
    format!("{}: {}", scenario.name, found.join(" "))
}
