//! Text kept inside its owner's cache line while it is short.

/// Immutable text: up to `N` bytes in place, more on the heap.
pub(super) enum Text<const N: usize> {
    Short(u8, [u8; N]),
    Long(Box<[u8]>),
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::Short(0, [0; N])
    }
}

impl<const N: usize> Text<N> {
    pub(super) fn new(text: &str) -> Text<N> {
        const { assert!(N <= u8::MAX as usize, "the length is one byte") };
        match u8::try_from(text.len()) {
            Ok(length) if text.len() <= N => {
                let mut bytes = [0; N];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                Text::Short(length, bytes)
            }
            _ => Text::Long(text.as_bytes().into()),
        }
    }

    #[inline]
    pub(super) fn is(&self, text: &str) -> bool {
        self.as_bytes() == text.as_bytes()
    }

    /// Checks the text's encoding, so not for hot paths.
    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).expect("it was made from a str")
    }

    /// Bytes on the heap, allocator overhead aside.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Text::Short(..) => 0,
            Text::Long(bytes) => bytes.len(),
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match self {
            Text::Short(length, bytes) => &bytes[..usize::from(*length)],
            Text::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_on_both_sides_of_the_bound() {
        for length in [0, 1, 7, 8, 9, 300] {
            let text = "x".repeat(length);
            let kept = Text::<8>::new(&text);
            assert!(kept.is(&text) && !kept.is("y"));
            assert_eq!(kept.as_str(), text);
            assert_eq!(kept.heap_bytes(), if length <= 8 { 0 } else { length });
        }
    }
}
