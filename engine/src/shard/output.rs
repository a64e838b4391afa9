//! What a connection has to send: bytes of its own, and large payloads by reference in between.

use std::io::IoSlice;

use bytes::Bytes;

/// The bytes that one connection sends in one go.
#[derive(Debug, Default)]
pub struct Output {
    /// The connection's own bytes.
    pub bytes: Vec<u8>,
    /// Payloads that stand between them, by ascending position.
    pub splices: Vec<Splice>,
    sent: usize,
}

/// A payload that many connections send without copying it.
#[derive(Debug)]
pub struct Splice {
    /// The offset in [`Output::bytes`] before which the payload belongs.
    pub at: usize,
    /// The payload.
    pub payload: Bytes,
}

impl Output {
    /// Bytes yet to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total() - self.sent
    }

    /// Whether everything was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that the kernel took `count` more bytes.
    pub fn advance(&mut self, count: usize) {
        self.sent += count;
        assert!(
            self.sent <= self.total(),
            "the kernel cannot take more than there is"
        );
    }

    /// The rest as one run of bytes, if no payload stands in between.
    #[must_use]
    pub fn as_plain(&self) -> Option<&[u8]> {
        if self.splices.is_empty() {
            Some(&self.bytes[self.sent..])
        } else {
            None
        }
    }

    /// Fills `slices` with the rest, in order, as far as they reach; returns how many it filled.
    pub fn fill_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.sent;
        let mut filled = 0;
        for piece in self.pieces() {
            if filled == slices.len() {
                break;
            }
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            slices[filled] = IoSlice::new(&piece[skip..]);
            skip = 0;
            filled += 1;
        }
        filled
    }

    /// Empties it and keeps the allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.splices.clear();
        self.sent = 0;
    }

    /// Everything in one run of bytes; nothing was sent yet.
    pub(crate) fn flatten(&mut self) -> &[u8] {
        debug_assert_eq!(self.sent, 0, "it is not on its way");
        if !self.splices.is_empty() {
            let mut flat = Vec::with_capacity(self.total());
            for piece in self.pieces() {
                flat.extend_from_slice(piece);
            }
            self.bytes = flat;
            self.splices.clear();
        }
        &self.bytes
    }

    /// Puts `fresh` in the place of the bytes in `range`, before which no payload stands that is
    /// not before all of it.
    pub(crate) fn replace(&mut self, range: std::ops::Range<usize>, fresh: &[u8]) {
        let (start, old_len) = (range.start, range.len());
        if fresh.len() == old_len {
            self.bytes[range].copy_from_slice(fresh);
            return;
        }
        self.bytes.splice(range, fresh.iter().copied());
        for splice in self.splices.iter_mut().rev() {
            if splice.at <= start {
                break;
            }
            splice.at = splice.at - old_len + fresh.len();
        }
    }

    /// Appends a payload by reference.
    pub(crate) fn push_payload(&mut self, payload: Bytes) {
        self.splices.push(Splice {
            at: self.bytes.len(),
            payload,
        });
    }

    fn total(&self) -> usize {
        self.bytes.len()
            + self
                .splices
                .iter()
                .map(|splice| splice.payload.len())
                .sum::<usize>()
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        let spliced = self.splices.iter().flat_map(move |splice| {
            let own = &self.bytes[start..splice.at];
            start = splice.at;
            [own, &splice.payload[..]]
        });
        let tail_at = self.splices.last().map_or(0, |splice| splice.at);
        spliced
            .chain(std::iter::once(&self.bytes[tail_at..]))
            .filter(|piece| !piece.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Output;
    use bytes::Bytes;
    use std::io::IoSlice;

    fn drain(output: &mut Output, step: usize, width: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while !output.is_empty() {
            let mut slices = vec![IoSlice::new(&[]); width];
            let filled = output.fill_slices(&mut slices);
            let run: Vec<u8> = slices[..filled]
                .iter()
                .flat_map(|s| s.iter().copied())
                .collect();
            let taken = step.min(run.len());
            sent.extend_from_slice(&run[..taken]);
            output.advance(taken);
        }
        sent
    }

    #[test]
    fn every_partial_write_resumes_where_it_stopped() {
        for step in 1..20 {
            for width in 1..5 {
                let mut output = Output::default();
                output.push_payload(Bytes::from_static(b"first"));
                output.bytes.extend_from_slice(b"-head-");
                output.push_payload(Bytes::from_static(b"payload"));
                output.push_payload(Bytes::from_static(b"again"));
                output.bytes.extend_from_slice(b"-tail");
                assert_eq!(output.len(), 28);
                assert_eq!(
                    drain(&mut output, step, width),
                    b"first-head-payloadagain-tail"
                );
            }
        }
    }

    #[test]
    fn plain_bytes_stay_one_run() {
        let mut output = Output::default();
        output.bytes.extend_from_slice(b"abc");
        output.advance(1);
        assert_eq!(output.as_plain(), Some(&b"bc"[..]));
    }
}
