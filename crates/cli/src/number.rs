//! Figures as a person reads them.

/// With a comma between the thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `n` of something: `1 record`, `950 records`.
pub fn of(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Bytes, in the unit that leaves one to three digits in front of the point.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = 0;
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A number rounded to four decimals, with its sign.
pub fn signed(value: f64) -> String {
    if value.is_finite() && value.abs() >= 1e9 { format!("{value:+.3e}") } else { format!("{value:+.4}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn figures_read_well() {
        assert_eq!([super::count(950), super::count(1_000), super::count(12_345_678)], ["950", "1,000", "12,345,678"]);
        assert_eq!([super::bytes(999), super::bytes(1536), super::bytes(5 << 30)], ["999 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!(super::signed(-0.52751), "-0.5275");
    }
}
