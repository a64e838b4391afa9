//! The separators between topic levels, found eight bytes at a time: every PUBLISH asks for them, and
//! levels are too short for a general search to pay.

/// Where the `n`th slash is, `n` from 1. Eight bytes at a time.
#[inline]
pub(crate) fn nth_slash(text: &[u8], n: u8) -> Option<usize> {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
    let mut left = u32::from(n);
    let (chunks, tail) = text.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let difference = u64::from_le_bytes(*chunk) ^ SLASHES;
        // The high bit of each byte that is a slash, exactly.
        let mut found = !(((difference & LOW) + LOW) | difference | LOW);
        if found.count_ones() < left {
            left -= found.count_ones();
            continue;
        }
        for _ in 1..left {
            found &= found - 1;
        }
        return Some(index * 8 + found.trailing_zeros() as usize / 8);
    }
    let mut slashes = tail.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let (at, _) = slashes.nth(left as usize - 1)?;
    Some(chunks.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::nth_slash;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nth_slash_is_where_counting_finds_it(text in "[/a\u{af}é.0]{0,40}", n in 1u8..6) {
            let mut slashes = text.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
            let counted = slashes.nth(usize::from(n) - 1).map(|(at, _)| at);
            prop_assert_eq!(nth_slash(text.as_bytes(), n), counted);
        }
    }
}
