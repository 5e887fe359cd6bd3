//! `list`: prints the scenarios of the guests.

use check::Scenario;
use serde_json::{Value, json};

use crate::args::{ListArgs, StyleArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::guests::{self, Opened, Origin};
use crate::select::{Match, select};
use crate::ui::Ui;

/// Runs `list`.
pub(crate) fn list(args: &ListArgs, style: &StyleArgs, ui: &mut Ui) -> Result<Exit, Error> {
    let guests = Origin::of(&args.guests)?.open(style, ui)?;
    let all = guests::scenarios(&guests);
    let names: Vec<&str> = all.iter().map(|(_, scenario)| scenario.name.as_str()).collect();
    let (selected, _) = select(&names, &args.filters, Match::Part)?;
    let selected = selected.into_iter().map(|i| all[i]);
    if args.json {
        let list: Vec<Value> = selected.map(object).collect();
        ui.print(&format!("{:#}\n", Value::Array(list)))?;
    } else {
        for (_, scenario) in selected {
            let text = if style.quiet { format!("{}\n", scenario.name) } else { told(scenario) };
            ui.print(&text)?;
        }
    }
    Ok(Exit::Passed)
}

fn object((opened, scenario): (&Opened, &Scenario)) -> Value {
    json!({
        "version": report::VERSION,
        "name": scenario.name,
        "about": scenario.about,
        "finds": scenario.finds,
        "marks": scenario.marks,
        "file": scenario.file,
        "line": scenario.line,
        "image": { "path": opened.path.to_string_lossy(), "id": opened.guest.image_id().id },
    })
}

/// Returns the name and, below it, the description, the expected property, and the marks.
fn told(scenario: &Scenario) -> String {
    let mut text = format!("{}\n", scenario.name);
    let mut say = |words: &str| text.push_str(&format!("    {words}\n"));
    if !scenario.about.is_empty() {
        say(&scenario.about);
    }
    if let Some(property) = &scenario.finds {
        say(&format!("finds  {property}"));
    }
    for mark in &scenario.marks {
        say(&format!("mark   {mark}"));
    }
    say(&format!("at     {}:{}", scenario.file, scenario.line));
    text
}
