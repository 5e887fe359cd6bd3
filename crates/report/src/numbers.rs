//! Numbers as a person writes them.

/// Puts a number before its noun: `1 CPU`, `2 CPUs`, `41 208 states`.
pub fn count(n: u64, noun: &str) -> String {
    let plural = match noun {
        _ if n == 1 => "",
        noun if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{} {noun}{plural}", grouped(n))
}

/// Writes a number with its digits in groups of three: `41 208`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `3.10s`.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1 000"), (41_208, "41 208")];
        for (n, text) in cases {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(grouped(1_204_330), "1 204 330");
    }

    #[test]
    fn nouns_agree_with_their_number() {
        assert_eq!(count(1, "switch"), "1 switch");
        assert_eq!(count(0, "switch"), "0 switches");
        assert_eq!(count(2, "CPU"), "2 CPUs");
    }
}
