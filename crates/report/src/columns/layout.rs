//! From rows to lines: a column per CPU, or a lane per CPU before one column of text.

use std::collections::BTreeSet;

use super::story::{Position, Row};
use crate::text::{Line, Role};
use crate::wrap::{width, wrap};

/// Between two columns.
const GAP: usize = 2;
/// A column narrower than this tells nothing: lanes do.
const NARROWEST: usize = 20;
/// A column wider than this pulls a text and its position apart.
const WIDEST: usize = 60;
/// A column narrower than this spares what it can.
const ROOMY: usize = 30;
/// Between an event and the marker on its line.
const MARKER_GAP: usize = 3;
/// From this number of CPUs on there are lanes.
const LANES_FROM: usize = 4;

/// The paper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sheet {
    /// Widest line.
    pub(crate) width: usize,
    /// Columns left of the first CPU.
    pub(crate) gutter: usize,
    /// Step numbers in the gutter.
    pub(crate) numbers: bool,
    /// What CPUs are called: this, then the digits.
    pub(crate) cpu: &'static str,
    /// The character rules are drawn with.
    pub(crate) rule: char,
    /// A rule below as well.
    pub(crate) closed: bool,
    /// Lanes, however few CPUs there are.
    pub(crate) lanes: bool,
}

/// The table: head, rows, rules.
pub(crate) fn table(rows: &[Row], sheet: Sheet) -> Vec<Line> {
    let cpus: BTreeSet<u8> = rows.iter().filter_map(|row| row.cpu).collect();
    let cpus: Vec<u8> = cpus.into_iter().collect();
    let n = cpus.len().max(1);
    let column = (sheet.width.saturating_sub(sheet.gutter + GAP * (n - 1)) / n).min(WIDEST);
    if sheet.lanes || n >= LANES_FROM || (n > 1 && column < NARROWEST) {
        lanes(rows, &cpus, sheet)
    } else {
        grid(rows, &cpus, sheet, column.max(1))
    }
}

fn grid(rows: &[Row], cpus: &[u8], sheet: Sheet, column: usize) -> Vec<Line> {
    let start = |i: usize| sheet.gutter + i * (column + GAP);
    let mut head = Line::default();
    let mut rule = Line::default();
    for (i, cpu) in cpus.iter().enumerate() {
        head = head.to(start(i)).with(Role::Plain, format!("{}{cpu}", sheet.cpu));
        rule = rule.to(start(i)).with(Role::Faint, sheet.rule.to_string().repeat(column));
    }
    // In set-up there may be no CPU to speak of, and so no column.
    let mut lines = if cpus.is_empty() { Vec::new() } else { vec![head, rule.clone()] };
    for row in rows {
        match cpus.iter().position(|cpu| Some(*cpu) == row.cpu) {
            Some(i) => {
                let right = (i + 1 < cpus.len()).then(|| start(i + 1));
                let cell = cell(row, column, right.is_some());
                lines.extend(placed(row, &cell, start(i), right, sheet));
            }
            None => {
                let all = cell(row, sheet.width.saturating_sub(sheet.gutter).max(1), false);
                lines.extend(placed(row, &all, sheet.gutter, None, sheet));
            }
        }
    }
    if sheet.closed && !cpus.is_empty() {
        lines.push(rule);
    }
    lines
}

/// A cell at `start`; the marker at `right` if there is a column.
fn placed(row: &Row, cell: &Cell, start: usize, right: Option<usize>, sheet: Sheet) -> Vec<Line> {
    let beside = match (right, &row.marker) {
        (Some(right), Some(marker)) => {
            let room = sheet.width.saturating_sub(right);
            wrap(marker, room, room.saturating_sub(MARKER_INDENT.len()))
        }
        _ => Vec::new(),
    };
    let mut lines = Vec::new();
    for i in 0..cell.len().max(beside.len()) {
        let mut line = numbered(row, i, sheet).to(start);
        if let Some(part) = cell.get(i) {
            line = part.on(line, start);
        }
        if let (Some(right), Some(text)) = (right, beside.get(i)) {
            let indent = if i == 0 { "" } else { MARKER_INDENT };
            line = line.to(right).with(Role::Violated, format!("{indent}{text}"));
        }
        lines.push(line);
    }
    lines
}

/// Under the words, not under the arrow.
const MARKER_INDENT: &str = "    ";

fn lanes(rows: &[Row], cpus: &[u8], sheet: Sheet) -> Vec<Line> {
    let digits = cpus.last().map_or(1, |cpu| width(&cpu.to_string()));
    let text_at = sheet.gutter + cpus.len() * (digits + 1) + 1;
    let room = sheet.width.saturating_sub(text_at).max(NARROWEST);
    let lane = |mine: Option<u8>| -> String {
        let one = |cpu: &u8| match mine {
            Some(mine) if mine != *cpu => format!("{:>digits$}", '.'),
            _ => format!("{cpu:>digits$}"),
        };
        cpus.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let nobody = vec![format!("{:>digits$}", '.'); cpus.len()].join(" ");
    let rule = sheet.rule.to_string().repeat(text_at + room - sheet.gutter);
    let rule = Line::default().to(sheet.gutter).with(Role::Faint, rule);
    let head = Line::default().to(sheet.gutter).with(Role::Plain, lane(None));
    let mut lines = vec![head.to(text_at).with(Role::Plain, "CPU"), rule.clone()];
    for row in rows {
        for (i, part) in cell(row, room, false).iter().enumerate() {
            let mark = match row.cpu {
                Some(cpu) if i == 0 => lane(Some(cpu)),
                _ => nobody.clone(),
            };
            let line = numbered(row, i, sheet).to(sheet.gutter).with(Role::Faint, mark);
            lines.push(part.on(line.to(text_at), text_at));
        }
    }
    if sheet.closed {
        lines.push(rule);
    }
    lines
}

/// The line's start: the step's number on the first line of a row.
fn numbered(row: &Row, nth: usize, sheet: Sheet) -> Line {
    match row.step.filter(|_| nth == 0 && sheet.numbers) {
        Some(step) => {
            let room = sheet.gutter.saturating_sub(GAP);
            Line::default().with(Role::Faint, format!("{step:>room$}"))
        }
        None => Line::default(),
    }
}

/// A row within its column.
type Cell = Vec<Part>;

/// One line of a cell.
struct Part {
    text: String,
    role: Role,
    /// What stands further right on the line, and the column of the cell at which it starts.
    tail: Option<(usize, String, Role)>,
}

impl Part {
    fn on(&self, line: Line, start: usize) -> Line {
        let line = line.with(self.role, self.text.as_str());
        match &self.tail {
            Some((at, text, role)) => line.to(start + at).with(*role, text.as_str()),
            None => line,
        }
    }
}

/// `row` in `column` columns. Its marker is set here where there is nothing to the right of it.
fn cell(row: &Row, column: usize, marker_beside: bool) -> Cell {
    // However deep it nests, half of a column is left to the text.
    let indent = (2 * row.depth).min(column / 2);
    let hanging = indent + if column < ROOMY { 2 } else { 4 };
    let mut text = parts(&row.text, row.role, column, indent, hanging);
    if let Some(position) = &row.position {
        place_position(&mut text, position, column);
    }
    let mut below = Vec::new();
    if let Some(marker) = row.marker.as_ref().filter(|_| !marker_beside) {
        let room = text.last_mut().filter(|part| part.tail.is_none());
        match room.filter(|part| width(&part.text) + MARKER_GAP + width(marker) <= column) {
            Some(part) => {
                let at = width(&part.text) + MARKER_GAP;
                part.tail = Some((at, marker.clone(), Role::Violated));
            }
            None => below = parts(marker, Role::Violated, column, indent, hanging),
        }
    }
    let instruction = row.instruction.iter();
    let instruction =
        instruction.flat_map(|text| parts(text, Role::Faint, column, indent + 2, indent + 4));
    text.into_iter().chain(below).chain(instruction).collect()
}

/// `text` wrapped in `column` columns, so far in on the first line and on the rest.
fn parts(text: &str, role: Role, column: usize, first: usize, rest: usize) -> Vec<Part> {
    let lines = wrap(text, column.saturating_sub(first), column.saturating_sub(rest));
    let part = |(i, line): (usize, String)| {
        let indent = if i == 0 { first } else { rest };
        Part { text: format!("{:indent$}{line}", ""), role, tail: None }
    };
    lines.into_iter().enumerate().map(part).collect()
}

/// At the right of the last line if that has room, or of the first; else, if it is needed, on
/// lines of its own.
fn place_position(text: &mut Vec<Part>, position: &Position, column: usize) {
    let fits = |part: &Part| width(&part.text) + GAP + width(&position.text) <= column;
    let ends = [text.len().checked_sub(1), Some(0)];
    let line = ends.into_iter().flatten().find(|i| text.get(*i).is_some_and(fits));
    if let Some(part) = line.and_then(|i| text.get_mut(i)) {
        let at = column - width(&position.text);
        part.tail = Some((at, position.text.clone(), Role::Faint));
    } else if position.needed {
        for line in wrap(&position.text, column, column) {
            let tail = Some((column - width(&line), line, Role::Faint));
            text.push(Part { text: String::new(), role: Role::Plain, tail });
        }
    }
}
