//! Masking, which is its own inverse `[RFC6455 5.3]`.

/// How many bytes are done at a time. The compiler makes two or four vector operations of it.
const CHUNK: usize = 32;

/// Masks or unmasks `bytes` in place. `offset` is how many bytes of the frame's payload came
/// before them.
#[inline]
pub fn unmask(bytes: &mut [u8], mut key: [u8; 4], offset: usize) {
    key.rotate_left(offset % 4);
    let (words, rest) = if bytes.len() < CHUNK {
        bytes.as_chunks_mut::<4>()
    } else {
        unmask_chunks(bytes, key).as_chunks_mut()
    };
    let key_word = u32::from_ne_bytes(key);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key_word).to_ne_bytes();
    }
    for (byte, key_byte) in rest.iter_mut().zip(key) {
        *byte ^= key_byte;
    }
}

/// Unmasks all whole chunks and gives the rest, which begins at the key's first byte again.
#[inline]
fn unmask_chunks(bytes: &mut [u8], key: [u8; 4]) -> &mut [u8] {
    let mut wide = [0; CHUNK];
    for (byte, key_byte) in wide.iter_mut().zip(key.iter().cycle()) {
        *byte = *key_byte;
    }
    let (chunks, rest) = bytes.as_chunks_mut::<CHUNK>();
    for chunk in chunks {
        for (byte, key_byte) in chunk.iter_mut().zip(wide) {
            *byte ^= key_byte;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_5_3_every_length_and_offset_is_as_byte_by_byte() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for length in 0..3 * CHUNK + 5 {
            for offset in 0..9 {
                let mut bytes: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
                unmask(&mut bytes, key, offset);
                for (at, byte) in bytes.into_iter().enumerate() {
                    assert_eq!(byte, at.to_le_bytes()[0] ^ key[(at + offset) % 4]);
                }
            }
        }
    }
}
