//! Handshake messages after the handshake: KeyUpdate is told, session tickets are skipped.
//!
//! A message may be cut over records at any byte, so its head is put together here. A body is never
//! kept: resumption is off, so a ticket of any length is only counted through; a KeyUpdate's body is
//! one byte.

use super::fault::Refusal;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
const HEAD: usize = 4;
/// Lifetime 4, age 4, nonce 1 + 255, ticket 2 + 65,535, extensions 2 + 65,534: RFC 8446 4.6.1.
const TICKET_MAX: usize = 4 + 4 + 256 + 2 + 65_535 + 2 + 65_534;

/// The peer has changed its sending keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyUpdate {
    /// It wants ours changed, too.
    pub is_requested: bool,
}

/// Where in the stream of handshake messages we are.
#[derive(Debug, Default)]
pub(super) struct Messages {
    head: [u8; HEAD],
    head_len: usize,
    /// Bytes of a ticket still to come.
    skip: usize,
}

impl Messages {
    /// Whether a message is half done: no other kind of record may come then, RFC 8446 5.1.
    pub const fn is_within(&self) -> bool {
        self.head_len > 0 || self.skip > 0
    }

    /// Takes one record's content. Cost: O(length), nothing is kept but the head.
    pub fn on_record(&mut self, mut content: &[u8]) -> Result<Option<KeyUpdate>, Refusal> {
        loop {
            let skipped = self.skip.min(content.len());
            self.skip -= skipped;
            content = content.get(skipped..).unwrap_or(&[]);
            let Some((&byte, rest)) = content.split_first() else {
                return Ok(None);
            };
            content = rest;
            if let Some(place) = self.head.get_mut(self.head_len) {
                *place = byte;
                self.head_len += 1;
                if self.head_len == HEAD {
                    self.on_head()?;
                }
            } else {
                // Only a KeyUpdate leaves its head in place for its body.
                self.head_len = 0;
                let update = key_update(byte)?;
                // No message may span a change of keys, RFC 8446 5.1.
                if !content.is_empty() {
                    return Err(Refusal::UNEXPECTED_MESSAGE);
                }
                return Ok(Some(update));
            }
        }
    }

    fn on_head(&mut self) -> Result<(), Refusal> {
        let [kind, a, b, c] = self.head;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        match kind {
            KEY_UPDATE if len == 1 => Ok(()),
            KEY_UPDATE => Err(Refusal::DECODE_ERROR),
            NEW_SESSION_TICKET if len <= TICKET_MAX => {
                self.head_len = 0;
                self.skip = len;
                Ok(())
            }
            NEW_SESSION_TICKET => Err(Refusal::MESSAGE_TOO_LONG),
            _ => Err(Refusal::UNEXPECTED_MESSAGE),
        }
    }
}

fn key_update(request: u8) -> Result<KeyUpdate, Refusal> {
    match request {
        0 | 1 => Ok(KeyUpdate {
            is_requested: request == 1,
        }),
        _ => Err(Refusal::ILLEGAL_PARAMETER),
    }
}

/// A KeyUpdate that asks for none in return.
pub(super) const UPDATE_NOT_REQUESTED: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket(len: usize) -> Vec<u8> {
        let mut bytes = vec![NEW_SESSION_TICKET];
        bytes.extend(&(len as u32).to_be_bytes()[1..]);
        bytes.resize(HEAD + len, 0xaa);
        bytes
    }

    const REQUESTED: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 1];

    #[test]
    fn an_update_must_end_its_record_be_one_byte_long_and_ask_yes_or_no() {
        let one = |content: &[u8]| Messages::default().on_record(content);
        let update = |is_requested| Ok(Some(KeyUpdate { is_requested }));
        assert_eq!(one(&UPDATE_NOT_REQUESTED), update(false));
        assert_eq!(one(&REQUESTED), update(true));
        assert_eq!(
            one(&[KEY_UPDATE, 0, 0, 1, 2]),
            Err(Refusal::ILLEGAL_PARAMETER)
        );
        assert_eq!(
            one(&[KEY_UPDATE, 0, 0, 2, 0, 0]),
            Err(Refusal::DECODE_ERROR)
        );
        assert_eq!(one(&[KEY_UPDATE, 0, 0, 0]), Err(Refusal::DECODE_ERROR));
        let twice = [REQUESTED, REQUESTED].concat();
        assert_eq!(one(&twice), Err(Refusal::UNEXPECTED_MESSAGE));
    }

    #[test]
    fn a_message_that_belongs_to_the_handshake_is_refused() {
        for kind in (0..=255).filter(|kind| ![NEW_SESSION_TICKET, KEY_UPDATE].contains(kind)) {
            let refused = Messages::default().on_record(&[kind, 0, 0, 0]);
            assert_eq!(refused, Err(Refusal::UNEXPECTED_MESSAGE), "{kind}");
        }
    }

    #[test]
    fn a_ticket_longer_than_its_format_allows_is_refused() {
        let mut messages = Messages::default();
        assert_eq!(messages.on_record(&ticket(TICKET_MAX)), Ok(None));
        assert!(!messages.is_within());
        let refused = messages.on_record(&ticket(TICKET_MAX + 1));
        assert_eq!(refused, Err(Refusal::MESSAGE_TOO_LONG));
    }

    proptest! {
        /// Wherever records cut them, the messages are the same.
        #[test]
        fn any_cut_tells_the_same(
            lens in prop::collection::vec(0usize..300, 0..5),
            cuts in prop::collection::vec(1usize..40, 1..8),
        ) {
            let mut bytes: Vec<u8> = lens.iter().flat_map(|&len| ticket(len)).collect();
            bytes.extend(REQUESTED);
            let mut messages = Messages::default();
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            let mut told = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                rest = after;
                told.extend(messages.on_record(piece).unwrap());
                prop_assert!(rest.is_empty() == told.len().eq(&1));
            }
            prop_assert_eq!(told, vec![KeyUpdate { is_requested: true }]);
            prop_assert!(!messages.is_within());
        }

        #[test]
        fn hostile_messages_never_panic(contents: Vec<Vec<u8>>) {
            let mut messages = Messages::default();
            for content in contents {
                if messages.on_record(&content).is_err() {
                    break;
                }
            }
        }
    }
}
