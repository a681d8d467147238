//! Which of our messages a refusal names: it tells a number (45), and who reads it knows orders by their names.
//!
//! A refusal of the session (3) has nothing but the number; one of the business behind it (`j`) may lack a name too.
//! The beginning of each of the latest messages is remembered, which is where its name stands.

use dp_wire::fix::{Message, SOH};

/// Messages remembered of a connection: more than can be unanswered at once. 64 KiB.
const HEADS_MAX: usize = 1 << 10;
/// Bytes remembered of each: type, and a name (11) of 40 letters.
const HEAD_MAX: usize = 55;

/// How a message began.
#[derive(Debug, Clone, Copy)]
struct Head {
    seq: u64,
    len: u8,
    bytes: [u8; HEAD_MAX],
}

/// The latest messages of ours, each in the slot of its number.
#[derive(Debug)]
pub(super) struct Heads(Box<[Head]>);

impl Default for Heads {
    fn default() -> Self {
        let none = Head {
            seq: 0,
            len: 0,
            bytes: [0; HEAD_MAX],
        };
        Self(vec![none; HEADS_MAX].into_boxed_slice())
    }
}

impl Heads {
    /// Remembers a message by its number, over an older one. Cost: one copy of at most [`HEAD_MAX`] bytes.
    pub(super) fn note(&mut self, seq: u64, kind: &[u8], fields: &[u8]) {
        let Some(head) = self.0.get_mut(seq as usize % HEADS_MAX) else {
            return;
        };
        let parts = [b"35=", kind, &[SOH], fields];
        let mut bytes = parts.into_iter().flatten();
        let mut len = 0;
        for (slot, byte) in head.bytes.iter_mut().zip(bytes.by_ref()) {
            *slot = *byte;
            len += 1;
        }
        (head.seq, head.len) = (seq, len);
    }

    /// The numbers begin anew, or nothing said before is refused any more.
    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(|head| head.seq = 0);
    }

    /// A refusal, with the message it names where that is remembered.
    pub(super) fn named<'a>(&'a self, refusal: Message<'a>) -> Message<'a> {
        let seq = refusal.u64(45).filter(|seq| *seq > 0);
        let head = seq.and_then(|seq| self.0.get(seq as usize % HEADS_MAX));
        match head.filter(|head| Some(head.seq) == seq) {
            Some(head) => refusal.refusing(head.bytes.get(..head.len.into()).unwrap_or_default()),
            None => refusal,
        }
    }
}
