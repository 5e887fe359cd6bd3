//! Parsers of durations, sizes and counts on the command line.

/// Parses a duration in seconds: `60s`, `1.5m`, `2h`, `250ms`; a bare number is seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    match scaled(text, &units) {
        Some(0.0) => Err(format!("a duration must be more than 0: {text}")),
        Some(seconds) => Ok(seconds),
        None => Err(format!("write a duration as 60s, 250ms, 5m or 2h: {text}")),
    }
}

/// Parses a size in bytes, at least 1: `4G`, `512M`, `64KiB`; a bare number is bytes. Units are powers of 1024.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    match size(text)? {
        few if few < 1 => Err(format!("at least 1 byte is needed: {text}")),
        enough => Ok(enough),
    }
}

/// Parses a size like [`bytes`], which may be 0.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("write a size as 4G, 512M or 64K: {text}");
    let upper = text.trim().to_ascii_uppercase();
    let plain = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
    let (k, m, g) = (1024.0, 1024.0 * 1024.0, 1024.0 * 1024.0 * 1024.0);
    let units = [("K", k), ("M", m), ("G", g), ("T", g * k), ("", 1.0)];
    scaled(plain, &units).and_then(whole).ok_or_else(wrong)
}

/// The smallest memory budget in bytes. Searches check their use only now and then, so less would not hold.
const LEAST_BUDGET: u64 = 16 << 20;

/// Parses the memory budget of searches like [`bytes`], at least [`LEAST_BUDGET`].
pub(crate) fn budget(text: &str) -> Result<u64, String> {
    match size(text)? {
        few if few < LEAST_BUDGET => Err(format!("searches need at least 16M: {text}")),
        enough => Ok(enough),
    }
}

/// Parses a count: `2000000`, `2_000_000`, `2M`, `500k`. Units are powers of 1000.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let wrong = || format!("write a number as 2000000, 2_000_000 or 2M: {text}");
    let plain = text.replace('_', "");
    let units = [("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("", 1.0)];
    match scaled(&plain, &units).and_then(whole).ok_or_else(wrong)? {
        0 => Err(format!("at least 1 is needed: {text}")),
        number => Ok(number),
    }
}

/// Returns the number before the first of `units` that ends `text`, times that unit.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let (number, unit) = units
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, unit)))?;
    let number = number.trim_end();
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    if number.is_empty() || !number.chars().all(digits) {
        return None;
    }
    number.parse::<f64>().ok().map(|n| n * unit).filter(|n| n.is_finite())
}

fn whole(number: f64) -> Option<u64> {
    (number < u64::MAX as f64).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let good = [("60s", 60.0), ("90", 90.0), ("250ms", 0.25), ("1.5m", 90.0), ("2h", 7200.0)];
        for (text, value) in good {
            assert_eq!(seconds(text), Ok(value), "{text}");
        }
        for text in ["", "s", "0s", "-1s", "1d", "1e9s", "nan", "inf", "1s2"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let good = [
            ("4G", 4 << 30),
            ("512M", 512 << 20),
            ("64KiB", 64 << 10),
            ("64kb", 64 << 10),
            ("1.5g", 3 << 29),
            ("123", 123),
            ("1T", 1 << 40),
        ];
        for (text, value) in good {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for text in ["", "G", "0", "-4G", "4X", "4 G G", "0.1", "99999999999T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_budget_of_memory_has_a_minimum() {
        assert_eq!(budget("16M"), Ok(LEAST_BUDGET));
        assert_eq!(budget("1K"), Err("searches need at least 16M: 1K".into()));
        assert!(budget("much").is_err_and(|wrong| wrong.contains("4G")));
    }

    #[test]
    fn counts() {
        let good = [("2_000_000", 2_000_000), ("2M", 2_000_000), ("500k", 500_000), ("7", 7)];
        for (text, value) in good {
            assert_eq!(count(text), Ok(value), "{text}");
        }
        for text in ["", "0", "-3", "many", "0.2"] {
            assert!(count(text).is_err(), "{text}");
        }
        assert_eq!(count("0"), Err("at least 1 is needed: 0".into()));
        assert_eq!(bytes("0K"), Err("at least 1 byte is needed: 0K".into()));
        assert_eq!(budget("0"), Err("searches need at least 16M: 0".into()));
        assert_eq!(seconds("0s"), Err("a duration must be more than 0: 0s".into()));
    }
}
