//! Characters and widths: cleaning what a guest wrote, breaking what is too long.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Characters after which a word that is too long for a line may be broken.
const BREAKS: &[char] = &['.', ':', '_', ',', '/', '-', '(', '{', '<', '>', ')', '}'];

/// `text` on one line, without control characters; in ASCII unless `utf8`.
pub(crate) fn clean(text: &str, utf8: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            _ if c.is_whitespace() => out.push(' '),
            _ if c.is_control() => out.push('?'),
            _ if utf8 || c.is_ascii() => out.push(c),
            '…' => out.push_str("..."),
            '→' => out.push_str("->"),
            '←' => out.push_str("<-"),
            '≠' => out.push_str("!="),
            '≤' => out.push_str("<="),
            '≥' => out.push_str(">="),
            '×' => out.push('x'),
            '–' | '—' | '−' => out.push('-'),
            '‘' | '’' => out.push('\''),
            '“' | '”' => out.push('"'),
            _ => out.push('?'),
        }
    }
    out
}

/// `text` in lines of at most `first`, then `rest` columns: broken at spaces, and within a word
/// only if the word alone is wider than a line.
pub(crate) fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let (first, rest) = (first.max(1), rest.max(1));
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for mut word in words(text, rest) {
        loop {
            let room = if lines.is_empty() { first } else { rest };
            let taken = if line.is_empty() { 0 } else { width(&line) + 1 };
            if taken + width(word) <= room {
                if taken > 0 {
                    line.push(' ');
                }
                line.push_str(word);
                break;
            }
            if taken > 0 && (width(word) <= rest || room.saturating_sub(taken) < (rest / 2).max(1))
            {
                lines.push(std::mem::take(&mut line));
                continue;
            }
            let (head, tail) = word.split_at(cut(word, room - taken));
            if taken > 0 {
                line.push(' ');
            }
            line.push_str(head);
            lines.push(std::mem::take(&mut line));
            word = tail;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The parts of `text` between which a line may be broken. A value stays with its `=`, a number
/// with its digits, what is in braces is broken after commas only; unless that takes more than
/// `room` columns.
fn words(text: &str, room: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut braces = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            ' ' if breakable(&text[start..at], &text[at + 1..], braces > 0) => {
                words.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&text[start..]);
    let too_wide = |word: &&str| width(word) > room;
    words
        .into_iter()
        .flat_map(|word| if too_wide(&word) { word.split(' ').collect() } else { vec![word] })
        .collect()
}

/// May a line end between `before` and `after`?
fn breakable(before: &str, after: &str, in_braces: bool) -> bool {
    let last = before.rsplit(' ').next().unwrap_or_default();
    let next = after.split(' ').next().unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let number = digits(last) && next.len() == 3 && digits(next);
    !matches!(last, "=" | "==" | "->" | "(was") && !number && (!in_braces || last.ends_with(','))
}

/// `text` in lines of at most `all` columns, the first behind `lead`, the others as far in as that.
pub(crate) fn hang(lead: &str, text: &str, all: usize) -> Vec<String> {
    let indent = width(lead);
    let room = all.saturating_sub(indent);
    let mut lines = wrap(text, room, room);
    for (i, line) in lines.iter_mut().enumerate() {
        let before = if i == 0 { lead.to_owned() } else { " ".repeat(indent) };
        line.insert_str(0, &before);
    }
    lines
}

/// Columns of `text`.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Where to break `word` so that the head is at most `room` columns, and as long as looks well.
fn cut(word: &str, room: usize) -> usize {
    let mut hard = 0;
    let mut soft = 0;
    let mut columns = 0;
    for (at, c) in word.char_indices() {
        columns += c.width().unwrap_or(0);
        if columns > room && hard > 0 {
            break;
        }
        hard = at + c.len_utf8();
        // `->`, `::` and `()` stay whole.
        let next = word[hard..].chars().next();
        let pair = next == Some(c) || matches!((c, next), ('-', Some('>')) | ('(', Some(')')));
        if BREAKS.contains(&c) && !pair && 2 * columns >= room {
            soft = hard;
        }
    }
    if soft > 0 { soft } else { hard }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_take_two_columns_count_as_two() {
        assert_eq!(width("表示"), 4);
        assert_eq!(wrap("表示表示 ab", 7, 7), ["表示表", "示 ab"]);
    }

    #[test]
    fn breaks_at_spaces_before_it_breaks_words() {
        assert_eq!(wrap("read mm_a.lam_cr3_mask = 0", 22, 20), ["read mm_a.lam_cr3_mask", "= 0"]);
        assert_eq!(
            wrap("read mm_a.lam_cr3_mask = 0", 14, 18),
            ["read", "mm_a.lam_cr3_mask", "= 0"]
        );
    }

    #[test]
    fn what_belongs_together_stays_together() {
        assert_eq!(wrap("CR3 = {pcid 1, mm A}", 12, 12), ["CR3", "= {pcid 1,", "mm A}"]);
        assert_eq!(wrap("about 10 000 000 states", 12, 12), ["about", "10 000 000", "states"]);
    }

    #[test]
    fn a_word_wider_than_a_line_is_broken_where_it_has_a_joint() {
        assert_eq!(wrap("address_space::Core", 16, 10), ["address_space::", "Core"]);
        assert_eq!(wrap("abcdefghij", 4, 4), ["abcd", "efgh", "ij"]);
    }

    #[test]
    fn nothing_is_lost_and_nothing_overflows() {
        let text = "a bb::cc_dd->ee {pcid 1, mm A} ffffffffffffffffffffffff .";
        let squeezed = |text: &str| text.replace(' ', "");
        for first in 1..30 {
            for rest in 1..30 {
                let lines = wrap(text, first, rest);
                assert!(
                    lines
                        .iter()
                        .enumerate()
                        .all(|(i, line)| { width(line) <= if i == 0 { first } else { rest } })
                );
                assert_eq!(squeezed(&lines.concat()), squeezed(text), "{first} {rest}");
            }
        }
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(clean("\u{1b}[31m a\n→ é", false), "?[31m a -> ?");
        assert_eq!(clean("→ é\t", true), "→ é");
    }
}
