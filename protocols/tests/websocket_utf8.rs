//! The incremental UTF-8 validator beside the standard library.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use ringbus_protocols::websocket::utf8::Utf8;

/// Where the first byte is that no text can have there: the shortest prefix that the standard
/// library calls wrong rather than incomplete.
fn wrong_at(bytes: &[u8]) -> Option<usize> {
    let valid = match str::from_utf8(bytes) {
        Ok(_) => return None,
        Err(error) => error.valid_up_to(),
    };
    (valid..bytes.len()).find(|&at| {
        let prefix = str::from_utf8(&bytes[valid..=at]);
        prefix.is_err_and(|error| error.error_len().is_some())
    })
}

/// Where the validator fails, and whether the text may end there if it does not.
fn check<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Option<usize>, bool) {
    let mut utf8 = Utf8::default();
    let mut before = 0;
    for piece in pieces {
        if let Err(error) = utf8.check(piece) {
            return (Some(before + error.at), false);
        }
        before += piece.len();
    }
    (None, utf8.finish().is_ok())
}

fn expected(bytes: &[u8]) -> (Option<usize>, bool) {
    (wrong_at(bytes), str::from_utf8(bytes).is_ok())
}

/// Every byte that is a border of a class of bytes in some place, or within one.
const BORDERS: [u8; 29] = [
    0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x91, 0x9F, 0xA0, 0xA1, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
    0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF,
];

#[test]
fn every_sequence_of_up_to_three_bytes() {
    for first in 0..=u8::MAX {
        agree(&[first]);
        for second in 0..=u8::MAX {
            agree(&[first, second]);
            for third in 0..=u8::MAX {
                agree(&[first, second, third]);
            }
        }
    }
}

#[test]
fn every_sequence_of_four_bytes_from_all_classes() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            for third in BORDERS {
                for fourth in BORDERS {
                    agree(&[first, second, third, fourth]);
                }
            }
        }
    }
}

fn agree(bytes: &[u8]) {
    let expected = expected(bytes);
    assert_eq!(check([bytes]), expected, "{bytes:02X?}");
    assert_eq!(check(bytes.chunks(1)), expected, "{bytes:02X?}");
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let valid = "[a-zé€😀]{0,400}".prop_map(String::into_bytes);
    (
        valid,
        vec((any::<prop::sample::Index>(), select(&BORDERS[..])), 0..2),
    )
        .prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        })
}

proptest! {
    #[test]
    fn every_split_agrees_with_the_standard_library(bytes in text()) {
        let expected = expected(&bytes);
        prop_assert_eq!(check([bytes.as_slice()]), expected);
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            prop_assert_eq!(check([first, second]), expected);
        }
        for size in [1, 2, 3, 5, 150] {
            prop_assert_eq!(check(bytes.chunks(size)), expected);
        }
    }

    #[test]
    fn every_split_of_borders_agrees(bytes in vec(select(&BORDERS[..]), 0..12)) {
        let expected = expected(&bytes);
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            prop_assert_eq!(check([first, second]), expected);
        }
    }
}
