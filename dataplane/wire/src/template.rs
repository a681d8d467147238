//! A message made once whose fields are patched in place ever after.
//!
//! ```text
//!   {"id":"n·········I3","op":"order","expTime":"·············","args":[{... "px":"·······","sz":"····"...}]}
//!          └ field 0                             └ field 1
//!   every field as long as it was: only they are overwritten; one longer or shorter: the message is laid anew
//! ```
//! Ids, prices and times keep their lengths for long stretches, so nearly all messages are a handful of short
//! stores into bytes that are in the cache. The template knows no names, no escapes, no JSON.

/// Fields a template may have.
pub const FIELDS_MAX: usize = 12;

/// One message with `N` fields.
#[derive(Debug, Clone)]
pub struct Template<const N: usize> {
    /// The fixed pieces, one after another: one before each field and one after the last.
    fixed: Vec<u8>,
    /// Where each piece ends in `fixed`.
    ends: Vec<usize>,
    message: Vec<u8>,
    /// Where each field lies in `message`.
    spans: [(usize, usize); N],
}

impl<const N: usize> Template<N> {
    /// A template of these pieces, `N` + 1 of them. Takes its memory here: for fields of `fields_bytes` in all.
    ///
    /// A piece that is not given is empty; what is given beyond `N` + 1 goes behind the last field.
    pub fn new(pieces: &[&str], fields_bytes: usize) -> Self {
        const { assert!(N <= FIELDS_MAX) };
        let mut template = Self {
            fixed: Vec::new(),
            ends: Vec::new(),
            message: Vec::new(),
            spans: [(0, 0); N],
        };
        for (at, piece) in pieces.iter().enumerate() {
            template.fixed.extend_from_slice(piece.as_bytes());
            if at < N {
                template.ends.push(template.fixed.len());
            }
        }
        template
            .message
            .reserve(template.fixed.len() + fields_bytes);
        template.lay(&[&[]; N]);
        template
    }

    /// The message with these fields.
    ///
    /// Cost: a few nanoseconds a field; one copy of the message when a field's length changed. No allocation
    /// while all fields together are within what the template was made for.
    #[inline]
    pub fn fill(&mut self, fields: &[&[u8]; N]) -> &[u8] {
        let lengths = self.spans.iter().zip(fields);
        let is_same = lengths.fold(true, |is, ((start, end), field)| {
            is & (end - start == field.len())
        });
        if is_same {
            for ((start, end), field) in self.spans.iter().zip(fields) {
                if let Some(place) = self.message.get_mut(*start..*end) {
                    copy(place, field);
                }
            }
        } else {
            self.lay(fields);
        }
        &self.message
    }

    /// Lays the whole message.
    #[inline(never)]
    fn lay(&mut self, fields: &[&[u8]; N]) {
        self.message.clear();
        let mut from = 0;
        let ends = self.ends.iter().copied();
        for ((span, field), end) in self.spans.iter_mut().zip(fields).zip(ends) {
            self.message
                .extend_from_slice(self.fixed.get(from..end).unwrap_or(&[]));
            let start = self.message.len();
            self.message.extend_from_slice(field);
            *span = (start, self.message.len());
            from = end;
        }
        self.message
            .extend_from_slice(self.fixed.get(from..).unwrap_or(&[]));
    }
}

/// Copies between slices of one length; up to sixteen bytes without a call.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    if let (Some(head), Some(tail)) = (from.first_chunk::<8>(), from.last_chunk::<8>())
        && from.len() <= 16
    {
        // Two words that overlap.
        if let Some(place) = to.first_chunk_mut() {
            *place = *head;
        }
        if let Some(place) = to.last_chunk_mut() {
            *place = *tail;
        }
    } else if from.len() < 8 {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    } else {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_patched_or_laid_anew() {
        let mut template = Template::<2>::new(&["{\"id\":", ",\"px\":\"", "\"}"], 32);
        let room = template.message.capacity();
        for (id, price) in [
            ("1", "65000"),
            ("2", "65001"),
            ("10", "9.5"),
            ("11", ""),
            ("", "1"),
        ] {
            let text = template.fill(&[id.as_bytes(), price.as_bytes()]);
            let want = format!("{{\"id\":{id},\"px\":\"{price}\"}}");
            assert_eq!(core::str::from_utf8(text), Ok(&*want));
        }
        assert_eq!(template.message.capacity(), room);
    }

    proptest! {
        #[test]
        fn equals_the_formatter(
            pieces in prop::array::uniform4("[a-z]{0,9}"),
            rounds in proptest::collection::vec(prop::array::uniform3("[0-9]{7,18}|[0-9]{0,3}"), 1..6)
        ) {
            let [a, b, c, d] = &pieces;
            let mut template = Template::<3>::new(&[a, b, c, d], 60);
            for fields in &rounds {
                let [x, y, z] = fields;
                let fields = [x.as_bytes(), y.as_bytes(), z.as_bytes()];
                let want = format!("{a}{x}{b}{y}{c}{z}{d}");
                prop_assert_eq!(core::str::from_utf8(template.fill(&fields)), Ok(&*want));
                prop_assert_eq!(core::str::from_utf8(template.fill(&fields)), Ok(&*want));
            }
        }
    }
}
