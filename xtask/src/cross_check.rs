//! The same image on several machines, line by line.
//!
//! `guest/bare` prints what its processor does. Where two machines print different results, or one prints a
//! line that another does not, the difference is in `guest/bare/differences.toml`, with the machine that
//! departs from the architecture and why; or it is a failure. So is an entry that no difference needs, a
//! machine that does not reach its end, and one that was asked for and cannot run.

mod differences;
mod image;
mod machines;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

use crate::project;
use differences::Differences;
pub(crate) use machines::Machine;

/// Results by name.
type Lines = BTreeMap<String, String>;

/// What a whole run ends with.
const END: (&str, &str) = ("end", "all groups have run");

pub(crate) fn run(selected: &[Machine]) -> anyhow::Result<()> {
    let folder = project::target().join("cross-check");
    fs::create_dir_all(&folder)?;
    let image = image::build(&folder)?;
    let refused = image::refused(&image)?;
    for instruction in &refused {
        println!("refused  {instruction}: crates/x86 does not know it");
    }
    let differences = Differences::read(&project::root().join("guest/bare/differences.toml"))?;

    let (mut outputs, mut failures) = (BTreeMap::new(), refused.len());
    for machine in Machine::ALL {
        if !selected.contains(&machine) {
            println!("not run  {machine}: not selected");
            continue;
        }
        match observe(machine, &image, &folder) {
            Ok(lines) => {
                println!("ran      {machine}: {} lines, {}", lines.len(), machine.version()?);
                outputs.insert(machine, lines);
            }
            Err(error) => {
                println!("FAILED   {machine}: {error:#}");
                failures += 1;
            }
        }
    }
    let whole = outputs.len() == Machine::ALL.len();
    failures += compare(&outputs, &differences, whole);
    ensure!(failures == 0, "{failures} failures; the outputs are in {}", folder.display());
    ensure!(outputs.len() > 1, "one machine alone is compared with nothing");
    Ok(())
}

/// Runs the image on one machine and keeps its output.
fn observe(machine: Machine, image: &Path, folder: &Path) -> anyhow::Result<Lines> {
    let text = machine.run(image, folder)?;
    fs::write(folder.join(format!("{machine}.txt")), &text)?;
    let lines = parse(&text)?;
    let end = lines.get(END.0).map(String::as_str);
    if end != Some(END.1) {
        bail!("it does not reach the end; last line: {:?}", text.lines().last().unwrap_or(""));
    }
    Ok(lines)
}

/// Lines are `name: result`, each name once.
fn parse(text: &str) -> anyhow::Result<Lines> {
    let mut lines = Lines::new();
    for line in text.lines() {
        let (name, result) =
            line.split_once(": ").with_context(|| format!("not a line of the guest: {line:?}"))?;
        let before = lines.insert(name.to_owned(), result.to_owned());
        ensure!(before.is_none(), "{name} is printed twice");
    }
    Ok(lines)
}

/// Reports all differences; the number of failures.
fn compare(outputs: &BTreeMap<Machine, Lines>, listed: &Differences, whole: bool) -> usize {
    let mut names: Vec<&String> = outputs.values().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let (mut failures, mut alone) = (0, 0);
    let mut used = vec![0; listed.entries.len()];
    for name in &names {
        let result = |lines: &Lines| lines.get(*name).cloned().unwrap_or("(no such line)".into());
        let (excused, held): (Vec<_>, Vec<_>) = outputs
            .iter()
            .map(|(machine, lines)| (*machine, result(lines), listed.find(*machine, name)))
            .partition(|(_, _, entry)| entry.is_some());
        alone += usize::from(held.len() < 2);
        let Some((_, agreed, _)) = held.first() else { continue };
        if held.iter().any(|(_, result, _)| result != agreed) {
            failures += 1;
            println!("DIFFERS  {name}");
            for (machine, result, _) in &held {
                println!("         {machine:8} {result}");
            }
        }
        for (_, result, entry) in &excused {
            let Some(entry) = entry.filter(|_| result != agreed) else { continue };
            used[entry] += 1;
            if !listed.entries[entry].allows(result, agreed) {
                failures += 1;
                println!("DIFFERS  {name}, and not as is listed");
                println!("         {:8} {result}", listed.entries[entry].machine);
                println!("         others   {agreed}");
            }
        }
    }
    println!("{} names, {alone} of them with no two machines to compare", names.len());
    for (entry, used) in listed.entries.iter().zip(used) {
        let (machine, lines) = (entry.machine, &entry.lines);
        match used {
            0 if whole => {
                println!("STALE    {machine} {lines}: no difference needs this entry");
                failures += 1;
            }
            0 => println!("unjudged {machine} {lines}: not all machines have run"),
            n => println!("listed   {machine} {lines}: {n}, {}", entry.why),
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines {
        parse(text).expect("lines of the guest")
    }

    fn failures(qemu: &str, bochs: &str, table: &str) -> usize {
        let outputs = [(Machine::Qemu, lines(qemu)), (Machine::Bochs, lines(bochs))].into();
        compare(&outputs, &Differences::parse(table).expect("a table"), true)
    }

    const ENTRY: &str =
        "[[difference]]\nmachine = \"qemu\"\nlines = \"a/*\"\nwhy = \"w\"\nsource = \"s\"\n";

    #[test]
    fn a_difference_is_listed_or_a_failure() {
        assert_eq!(failures("a/b: 1\nc: 2\n", "a/b: 1\nc: 2\n", ""), 0);
        assert_eq!(failures("a/b: 1\n", "a/b: 2\n", ""), 1);
        assert_eq!(failures("a/b: 1\n", "", ""), 1, "a missing line");
        assert_eq!(failures("a/b: 1\n", "a/b: 2\n", ENTRY), 0);
        assert_eq!(failures("c: 1\n", "c: 2\n", ENTRY), 2, "another line, and stale");
    }

    #[test]
    fn a_listed_difference_can_be_told_exactly() {
        let prints = format!("{ENTRY}prints = \"1\"\n");
        assert_eq!(failures("a/b: 1\n", "a/b: 2\n", &prints), 0);
        assert_eq!(failures("a/b: 3\n", "a/b: 2\n", &prints), 1);
        let instead = format!("{ENTRY}instead = {{ of = \"2\", here = \"1\" }}\n");
        assert_eq!(failures("a/b: 1 1\n", "a/b: 2 1\n", &instead), 0);
        assert_eq!(failures("a/b: 1 3\n", "a/b: 2 1\n", &instead), 1);
    }

    #[test]
    fn an_entry_that_nothing_needs_is_a_failure() {
        assert_eq!(failures("a/b: 1\n", "a/b: 1\n", ENTRY), 1);
        assert!(Differences::parse(&ENTRY.replace("source", "sauce")).is_err());
        assert!(Differences::parse(&ENTRY.replace("qemu", "qemo")).is_err());
    }

    #[test]
    fn a_name_stands_once_and_has_a_result() {
        assert!(parse("a: 1\na: 1\n").is_err());
        assert!(parse("panicked\n").is_err());
    }
}
