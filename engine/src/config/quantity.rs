//! Numbers with units: sizes, durations and bounded counts.

use super::error::Problem;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A count within `range`.
pub(crate) fn count(text: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    let number = digits(text).ok_or_else(|| {
        Problem::new(
            "is not a whole number",
            format!("write a number from {} to {}", range.start(), range.end()),
        )
    })?;
    within(number, &range, |n| n.to_string())
}

/// A size in bytes: `65536`, `64KiB`, `1MiB`, `1.5GiB` is not taken, `1MB` is
/// 1,000,000; `K`, `M`, `G` alone are binary.
pub(crate) fn size(text: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    let (number, unit) = split_unit(text);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        _ => None,
    };
    let bytes = digits(number)
        .zip(scale)
        .and_then(|(n, scale)| n.checked_mul(scale));
    let bytes = bytes.ok_or_else(|| {
        Problem::new(
            "is not a size",
            "write bytes or a unit: 65536, 64KiB, 1MiB, 2GiB",
        )
    })?;
    within(bytes, &range, human_size)
}

/// A duration. The unit is required: a bare `10` has been read as seconds by
/// one tool and as milliseconds by the next.
pub(crate) fn duration(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, Problem> {
    let (number, unit) = split_unit(text);
    let millis_per_unit = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let Some(number) = digits(number) else {
        return Err(Problem::new("is not a duration", "write 500ms, 10s or 2m"));
    };
    let Some(scale) = millis_per_unit else {
        return Err(Problem::new(
            "has no unit of time",
            format!("write {number}s, {number}ms or {number}m"),
        ));
    };
    let millis = number.saturating_mul(scale);
    let in_millis = |d: &Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let range = in_millis(range.start())..=in_millis(range.end());
    within(millis, &range, human_millis).map(Duration::from_millis)
}

/// Bytes as an operator would write them.
pub(crate) fn human_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (scale, unit) in units {
        if bytes >= scale && bytes.is_multiple_of(scale) {
            return format!("{}{unit}", bytes / scale);
        }
    }
    format!("{bytes} bytes")
}

fn human_millis(millis: u64) -> String {
    if millis.is_multiple_of(86_400_000) && millis > 0 {
        format!("{}d", millis / 86_400_000)
    } else if millis.is_multiple_of(60_000) && millis > 0 {
        format!("{}m", millis / 60_000)
    } else if millis.is_multiple_of(1_000) {
        format!("{}s", millis / 1_000)
    } else {
        format!("{millis}ms")
    }
}

fn within(
    number: u64,
    range: &RangeInclusive<u64>,
    show: impl Fn(u64) -> String,
) -> Result<u64, Problem> {
    let fix = |edge: u64| {
        format!(
            "use {} to {}; nearest: {}",
            show(*range.start()),
            show(*range.end()),
            show(edge)
        )
    };
    if number < *range.start() {
        return Err(Problem::new("is too small", fix(*range.start())));
    }
    if number > *range.end() {
        return Err(Problem::new("is too large", fix(*range.end())));
    }
    Ok(number)
}

/// Plain decimal digits; no sign, no separators, no spaces.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Too many digits for a u64 is still a number: the caller's range says so.
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: RangeInclusive<u64> = 0..=u64::MAX;

    #[test]
    fn sizes_in_every_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("12b", 12),
            ("64KiB", 65_536),
            ("64k", 65_536),
            ("1MiB", 1 << 20),
            ("1MB", 1_000_000),
            ("2gib", 2 << 30),
        ] {
            assert_eq!(size(text, ANY), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_says_how_to_write_one() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5MiB",
            "1 MiB",
            "1TiBs",
            "99999999999999999999GiB",
        ] {
            let problem = size(text, 1..=10).expect_err(text);
            assert!(problem.why.contains("is not a size"), "{text}: {problem:?}");
            assert!(problem.fix.contains("1MiB"), "{text}: {problem:?}");
        }
    }

    #[test]
    fn a_size_out_of_range_names_both_edges() {
        let problem = size("1GiB", 16..=1 << 20).expect_err("too large");
        assert_eq!(problem.why, "is too large");
        assert_eq!(problem.fix, "use 16 bytes to 1MiB; nearest: 1MiB");
        assert_eq!(
            size("15", 16..=1 << 20).expect_err("too small").why,
            "is too small"
        );
    }

    #[test]
    fn durations_need_a_unit() {
        let range = Duration::from_millis(1)..=Duration::from_secs(3600);
        assert_eq!(
            duration("500ms", range.clone()),
            Ok(Duration::from_millis(500))
        );
        assert_eq!(duration("10s", range.clone()), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m", range.clone()), Ok(Duration::from_secs(120)));
        let bare = duration("10", range.clone()).expect_err("no unit");
        assert_eq!(
            (bare.why.as_str(), bare.fix.as_str()),
            ("has no unit of time", "write 10s, 10ms or 10m")
        );
        assert_eq!(
            duration("soon", range.clone()).expect_err("text").why,
            "is not a duration"
        );
        let days = Duration::from_secs(60)..=Duration::from_secs(3 * 86_400);
        assert_eq!(
            duration("2d", days.clone()),
            Ok(Duration::from_secs(172_800))
        );
        let long = duration("4d", days).expect_err("long");
        assert!(long.fix.contains("3d"), "{}", long.fix);
        assert_eq!(duration("2h", range).expect_err("long").why, "is too large");
    }

    #[test]
    fn counts_are_bounded_whole_numbers() {
        assert_eq!(count("7", 1..=8), Ok(7));
        assert_eq!(count("9", 1..=8).expect_err("large").why, "is too large");
        assert_eq!(
            count("99999999999999999999", 1..=8).expect_err("huge").why,
            "is too large"
        );
        assert_eq!(count("0", 1..=8).expect_err("small").why, "is too small");
        for text in ["", "-1", "+1", "1e3", "two", " 1"] {
            assert_eq!(
                count(text, 1..=8).expect_err(text).why,
                "is not a whole number"
            );
        }
    }
}
