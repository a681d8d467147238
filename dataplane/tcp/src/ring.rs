//! Octets by sequence number: a buffer of a power of two, where octet `n` lies at `n` less the origin, modulo
//! the size. Both directions use it: sent and not yet acknowledged, received and not yet handed out.

use crate::seq::Seq;

/// The buffer. Which octets are valid is the owner's knowledge.
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    origin: Seq,
}

impl Ring {
    /// `size` is a power of two, proved by `Config::check`.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size].into_boxed_slice(),
            origin: Seq(0),
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    fn place(&self, at: Seq) -> usize {
        at.0.wrapping_sub(self.origin.0) as usize & (self.bytes.len() - 1)
    }

    /// Nothing in it is valid, and the next octet is `at`: it goes to the beginning, which is warm.
    #[inline]
    pub(crate) fn begin_at(&mut self, at: Seq) {
        self.origin = at;
    }

    /// Copies in; at most the size is taken.
    #[inline]
    pub(crate) fn write(&mut self, at: Seq, from: &[u8]) {
        let place = self.place(at);
        let (low, high) = self.bytes.split_at_mut(place);
        let first = from.len().min(high.len());
        let (front, back) = from.split_at(first);
        if let Some(to) = high.get_mut(..first) {
            to.copy_from_slice(front);
        }
        if let Some(to) = low.get_mut(..back.len()) {
            to.copy_from_slice(back);
        }
    }

    /// Copies out; at most the size is filled.
    #[inline]
    pub(crate) fn read(&self, at: Seq, to: &mut [u8]) {
        let (low, high) = self.bytes.split_at(self.place(at));
        let (front, back) = to.split_at_mut(to.len().min(high.len()));
        if let Some(from) = high.get(..front.len()) {
            front.copy_from_slice(from);
        }
        if let Some(from) = low.get(..back.len()) {
            back.copy_from_slice(from);
        }
    }

    /// The octets from `at` on, up to `len` or the end of the buffer, whichever comes first.
    pub(crate) fn slice_mut(&mut self, at: Seq, len: usize) -> &mut [u8] {
        let place = self.place(at);
        let end = self.bytes.len().min(place.saturating_add(len));
        self.bytes.get_mut(place..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_across_both_wraps(
            origin: u32,
            start in prop_oneof![Just(u32::MAX - 3), Just(60), any::<u32>()],
            bytes in prop::collection::vec(any::<u8>(), 0..=64),
        ) {
            let mut ring = Ring::new(64);
            ring.begin_at(Seq(origin));
            ring.write(Seq(start), &bytes);
            let mut back = vec![0; bytes.len()];
            ring.read(Seq(start), &mut back);
            prop_assert_eq!(&back, &bytes);
            let mut at = 0;
            while at < bytes.len() {
                let slice = ring.slice_mut(Seq(start).plus(at as u32), bytes.len() - at);
                prop_assert!(!slice.is_empty());
                prop_assert_eq!(&*slice, &bytes[at..at + slice.len()]);
                at += slice.len();
            }
        }
    }
}
