//! Sentences: violations, reasons to claim nothing, warnings, bounds.

use outcome::{
    AccessKind, Bounds, Budget, Cause, Details, Event, Finding, MemoryModel, Oddity, Outcome,
    Route, SoloPart, Stats, UserMemory, Waiting, Warning,
};

use crate::facts::{agent, exception, frame, leads, object, position, the_frame};

/// Says what is wrong, in one sentence, in the kernel's terms.
pub fn sentence(finding: &Finding) -> String {
    match &finding.details {
        Details::Check { sentence, .. } => sentence.clone(),
        Details::Fault { exception: it, address, .. } => {
            let at = address.as_ref().map(|at| format!(" at {}", object(at))).unwrap_or_default();
            format!("the kernel takes {}{at}, and nothing handles it", exception(it.vector))
        }
        Details::Endless => "set-up, an invariant or a final check does not end".into(),
        Details::InterruptsOff { cpu } => {
            format!("CPU{cpu}'s closure returns with interrupts off")
        }
        Details::FreedFrame { cpu, frame, .. } => {
            format!("CPU{cpu} uses {} after it was freed", the_frame(frame, "frame"))
        }
        Details::FreedUnderStore { cpu, frame } => {
            format!("CPU{cpu} writes to {} after it was freed", the_frame(frame, "frame"))
        }
        Details::FreedTwice { cpu, frame } => {
            format!("CPU{cpu} frees {}, which is free already", the_frame(frame, "frame"))
        }
        Details::FreedTable { cpu, frame, .. } => {
            let table = the_frame(frame, "page table");
            format!("CPU{cpu} may walk through {table} after it was freed")
        }
        Details::StackUseAfterReturn { by, access, owner, .. } => {
            let does = if *access == AccessKind::Write { "writes to" } else { "reads" };
            format!("{} {does} a stack frame of {} that is gone", agent(by), agent(owner))
        }
        Details::Deadlock { .. } => "no CPU can go on".into(),
        Details::Livelock { .. } => "from here no run ends: the CPUs go round for ever".into(),
    }
}

/// Says what the property asks for.
pub fn expected(finding: &Finding) -> Option<String> {
    match &finding.details {
        Details::Check { expected, .. } => expected.clone(),
        Details::Fault { lacks, .. } => {
            lacks.as_ref().map(|set| format!("a test of CPUID, which enumerates no {set}"))
        }
        Details::InterruptsOff { .. } => Some("interrupts on, as at its start".into()),
        _ => None,
    }
}

/// Says what there is instead, and since when.
pub fn found(finding: &Finding) -> Option<String> {
    let since = finding.since.and_then(|since| finding.events.get(since));
    Some(match &finding.details {
        Details::Check { found, .. } => return found.clone(),
        Details::Fault { instruction, .. } => return instruction.clone(),
        Details::Endless => return None,
        Details::InterruptsOff { cpu } => {
            let when = since.map(|event| format!(" since {}{}", moment(event), at(event)));
            format!("CPU{cpu}'s interrupts are off{}", when.unwrap_or_default())
        }
        Details::FreedFrame { cpu, route, .. } | Details::FreedTable { cpu, route, .. } => {
            leads(*cpu, route) + &led_since(route, since)
        }
        Details::FreedUnderStore { cpu, .. } => format!("the store is in CPU{cpu}'s store buffer"),
        Details::FreedTwice { frame: freed, .. } => {
            let when = match since {
                Some(event) => format!("{}: CPU{}{}", moment(event), event.cpu, at(event)),
                // A frame that no step has freed was freed in set-up.
                None => "set-up".into(),
            };
            format!("{} is free since {when}", frame(freed, "frame"))
        }
        Details::StackUseAfterReturn { owner, object: it, below, .. } => {
            let what = it.name.clone().unwrap_or_else(|| it.address.to_string());
            format!("{what} is {below} bytes below the stack pointer of {}", agent(owner))
        }
        Details::Deadlock { waiting } | Details::Livelock { waiting } => {
            waiting.iter().map(waits).collect::<Vec<_>>().join("; ")
        }
    })
}

/// Since when a CPU may come to a frame by this way.
fn led_since(route: &Route, since: Option<&Event>) -> String {
    match (route, since) {
        (_, None) => String::new(),
        (Route::Walk { .. } | Route::Entries { .. }, Some(event)) => match event.step {
            0 => "; CR3 was written before the first step".into(),
            step => format!("; CR3 was written in step {step}"),
        },
        (Route::Kept { .. } | Route::Partly { .. }, Some(event)) => {
            format!(" since {}", moment(event))
        }
    }
}

fn moment(event: &Event) -> String {
    match event.step {
        0 => "before the first step".into(),
        step => format!("step {step}"),
    }
}

/// The function of an event and its line.
fn at(event: &Event) -> String {
    let Some(frame) = event.stack.last() else { return String::new() };
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(" in {} ({file}:{line})", frame.function),
        _ => format!(" in {}", frame.function),
    }
}

fn waits(waiting: &Waiting) -> String {
    let doing = if waiting.is_halted { "halted at" } else { "at" };
    let position = waiting.place.as_ref().map_or_else(|| "?".into(), position);
    format!("CPU{} {doing} {position}", waiting.cpu)
}

/// Says why nothing is claimed, in one sentence; of a search that was cut short, how far it came if that is
/// not far.
pub fn reason(outcome: &Outcome) -> Option<String> {
    let cause = &outcome.reason.as_ref()?.cause;
    let up_to = if is_cut_short(cause) { up_to(&outcome.stats) } else { "" };
    Some(format!("{}{up_to}", stated(cause)))
}

fn stated(cause: &Cause) -> String {
    let plain = match cause {
        Cause::NotModelled { what } => {
            return format!("stopped at something that is not modelled: {what}");
        }
        Cause::Misuse { call, what } => {
            return format!("the scenario is wrong: lamprey::{call} {what}");
        }
        Cause::CutOff { part, interrupted } => {
            let why = if *interrupted { "interrupted" } else { "the time is used up" };
            let part = match part {
                SoloPart::SetUp => "the set-up",
                SoloPart::Invariant => "an invariant",
                SoloPart::FinalCheck => "a final check",
            };
            return format!("{why} in {part}");
        }
        Cause::Unreached { marks } => {
            return format!("marks that no run reached: {}", marks.join(", "));
        }
        Cause::NoReplay { error } => {
            return format!(
                "a violation was found, but its trail does not replay ({error}); this is a defect of lamprey"
            );
        }
        Cause::TooLarge { image, needed, budget } => {
            return format!(
                "the image takes {image} MiB of the guest's memory, and to search it about {needed} MiB of \
                 yours; the budget of a scenario is {budget} MiB: make its segments smaller, or give a larger \
                 --memory"
            );
        }
        Cause::NoStart { what } => what,
        Cause::Budget { of: Budget::States } => "the budget of states is used up",
        Cause::Budget { of: Budget::Memory } => "the budget of memory is used up",
        Cause::Budget { of: Budget::Time } => "the time is used up",
        Cause::Interrupted => "interrupted",
        Cause::NoCpu => "no CPU does anything: the set-up calls `lamprey::cpu` for none",
        Cause::Discarded => "every run was discarded by `assume`: nothing was checked",
        Cause::NoMark => {
            "no mark was reached: nothing shows that the scenario did what it is about; add \
             `lamprey::mark!(\"…\")`"
        }
        Cause::NothingViolated => "no run within the bounds violates anything",
    };
    plain.into()
}

/// Tells whether the search ended before its time.
fn is_cut_short(cause: &Cause) -> bool {
    matches!(cause, Cause::Budget { .. } | Cause::Interrupted | Cause::CutOff { .. })
}

/// Tells whether a reason says that all runs without a switch are known.
pub(crate) fn knows_without_switch(outcome: &Outcome) -> bool {
    let cut_short = outcome.reason.as_ref().is_some_and(|reason| is_cut_short(&reason.cause));
    cut_short && outcome.stats.switches == Some(0)
}

/// From one switch on a report says how far the search has come, from its figures.
fn up_to(stats: &Stats) -> &'static str {
    match stats.switches {
        Some(0) if stats.livelocks_apart => "; no counterexample without a switch, livelocks apart",
        Some(0) => "; no counterexample without a switch",
        Some(_) => "",
        None => "; not even the runs without a switch were all searched",
    }
}

/// Warns of something legal that is probably a mistake.
pub fn warning(warning: &Warning) -> String {
    let text = match &warning.what {
        Oddity::FastString => {
            "others see the stores of this repeated string instruction one after the other; a processor \
             may make them visible in another order"
                .into()
        }
        Oddity::Invlpg { va } => {
            format!("invlpg of {va}, which is not canonical, invalidates nothing")
        }
    };
    format!("{}: {text}", warning.symbol)
}

/// Lists what a verdict holds for, a few words each: the memory model first.
pub fn bounds_in_words(bounds: &Bounds) -> Vec<String> {
    let memory_model = match bounds.memory_model {
        MemoryModel::Tso => "x86-TSO",
        MemoryModel::Sc => "SC",
    };
    let nmis = bounds.nmi_budget.map_or("no NMI".into(), |budget| format!("NMI budget {budget}"));
    let user = match bounds.user_memory {
        UserMemory::Flat => "flat user memory",
        UserMemory::Adversarial => "TLB filled at any time",
        UserMemory::Retain => "TLB filled by accesses alone",
        UserMemory::Eager => "no TLB",
    };
    let mut words = vec![memory_model.into(), "IPIs".into(), nmis, user.into()];
    words.extend(bounds.equal_interrupts.map(|most| {
        format!("more than {most} equal interrupts on their way to a CPU count as {most}")
    }));
    words
}
