//! FIX tag=value messages: out of a byte stream, and into bytes.
//!
//! ```text
//!   8=FIX.4.4|9=55|35=0|34=3|49=US|52=…|56=THEM|10=249|        | is SOH, 0x01
//! ```
//! A message is its fields in order, from the type on: groups are cut out of that order. What cannot be a message
//! is passed over up to the next `8=FIX`; the session's numbers show that one is missing.

use std::fmt::{Display, Write as _};

/// Ends each field.
const SOH: u8 = 1;
/// Longest message taken, bytes: a batch of orders is far below.
const MESSAGE_MAX: usize = 64 << 10;
/// Longest `8=…|9=…|`.
const HEAD_MAX: usize = 32;
/// `10=000|`.
const TRAILER: usize = 7;
/// Where a message begins.
const BEGIN: &[u8] = b"8=FIX";
/// A field of the first tag says how many bytes one of the second has, which may hold any byte.
const DATA: [(u32, u32); 3] = [(95, 96), (354, 355), (212, 213)];

/// A field: tag and value.
pub type Field = (u32, String);

/// A message without its frame: type first, then the header's and the body's fields in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// `FIX.4.4`, `FIXT.1.1`; of messages to be sent empty, the session knows it.
    pub begin: String,
    fields: Vec<Field>,
}

impl Message {
    /// An empty message of a type.
    pub fn new(kind: &str) -> Self {
        let mut message = Self::default();
        message.put(35, kind);
        message
    }

    /// Appends a field.
    pub fn put(&mut self, tag: u32, value: impl Display) -> &mut Self {
        self.fields.push((tag, value.to_string()));
        self
    }

    /// Appends a field where there is a value.
    pub fn put_some(&mut self, tag: u32, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.put(tag, value);
        }
        self
    }

    /// Gives the first field of a tag another value, or appends it.
    pub fn set(&mut self, tag: u32, value: impl Display) {
        let value = value.to_string();
        match self.fields.iter_mut().find(|(known, _)| *known == tag) {
            Some(field) => field.1 = value,
            None => self.fields.push((tag, value)),
        }
    }

    /// The first field of a tag; `None` when absent or empty.
    pub fn get(&self, tag: u32) -> Option<&str> {
        get(&self.fields, tag)
    }

    /// The first field of a tag, empty when absent.
    pub fn text(&self, tag: u32) -> &str {
        self.get(tag).unwrap_or("")
    }

    /// The first field of a tag as a whole number.
    pub fn number(&self, tag: u32) -> Option<u64> {
        self.get(tag)?.parse().ok()
    }

    /// Whether a flag is `Y`.
    pub fn is_set(&self, tag: u32) -> bool {
        self.get(tag) == Some("Y")
    }

    /// The type.
    pub fn kind(&self) -> &str {
        self.text(35)
    }

    /// The entries of the group whose count is in `tag`: each begins with the tag the first one begins with.
    /// The last entry runs to the message's end.
    pub fn group(&self, tag: u32) -> Vec<Self> {
        let Some(at) = self.fields.iter().position(|(known, _)| *known == tag) else {
            return Vec::new();
        };
        let rest = self.fields.get(at + 1..).unwrap_or(&[]);
        let Some((first, _)) = rest.first() else {
            return Vec::new();
        };
        let mut entries: Vec<Self> = Vec::new();
        for (known, value) in rest {
            if known == first {
                entries.push(Self::default());
            }
            if let Some(entry) = entries.last_mut() {
                entry.put(*known, value);
            }
        }
        entries
    }

    /// Appends another's fields.
    pub fn append(&mut self, other: &Self) {
        self.fields.extend_from_slice(&other.fields);
    }

    /// A group's entry as a message of a type.
    pub fn as_kind(&self, kind: &str) -> Self {
        let mut message = Self::new(kind);
        message.append(self);
        message
    }

    /// The body: what follows the header's fields.
    fn body(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|(tag, _)| *tag != 35)
    }

    /// As bytes, behind a header of these fields.
    pub fn encode(&self, begin: &str, header: &[Field]) -> Vec<u8> {
        let mut body = format!("35={}\u{1}", self.kind());
        for (tag, value) in header.iter().chain(self.body()) {
            let _ = write!(body, "{tag}={value}\u{1}");
        }
        let mut bytes = format!("8={begin}\u{1}9={}\u{1}{body}", body.len()).into_bytes();
        let sum = checksum(&bytes);
        bytes.extend_from_slice(format!("10={sum:03}\u{1}").as_bytes());
        bytes
    }
}

fn get(fields: &[Field], tag: u32) -> Option<&str> {
    let found = fields.iter().find(|(known, _)| *known == tag);
    found
        .map(|(_, value)| value.as_str())
        .filter(|v| !v.is_empty())
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte))
}

/// Bytes of a connection on their way to messages.
#[derive(Debug, Default)]
pub struct Framer {
    held: Vec<u8>,
    /// How often bytes were passed over.
    pub garbled: u64,
}

/// What stands at the front.
enum Front {
    More,
    Garbled,
    Message(Message, usize),
}

impl Framer {
    /// Takes bytes in.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }
}

impl Iterator for Framer {
    type Item = Message;

    /// The next whole message.
    fn next(&mut self) -> Option<Message> {
        loop {
            match front(&self.held) {
                Front::More => return None,
                Front::Message(message, length) => {
                    self.held.drain(..length);
                    return Some(message);
                }
                Front::Garbled => {
                    self.garbled += 1;
                    let rest = self.held.get(1..).unwrap_or(&[]);
                    let next = rest.windows(BEGIN.len()).position(|part| part == BEGIN);
                    // Without another beginning the last bytes may be part of one.
                    let keep = || self.held.len().saturating_sub(BEGIN.len() - 1).max(1);
                    let skip = next.map_or_else(keep, |at| at + 1);
                    self.held.drain(..skip.min(self.held.len()));
                }
            }
        }
    }
}

fn front(bytes: &[u8]) -> Front {
    let begins = bytes.iter().zip(BEGIN).all(|(have, want)| have == want);
    if !begins {
        return Front::Garbled;
    }
    let Some((begin, length, body_at)) = head(bytes) else {
        let is_long = bytes.len() >= HEAD_MAX;
        return if is_long { Front::Garbled } else { Front::More };
    };
    let Some(length) = length.filter(|length| *length <= MESSAGE_MAX) else {
        return Front::Garbled;
    };
    let (sum_at, end) = (body_at + length, body_at + length + TRAILER);
    let (Some(body), Some(trailer)) = (bytes.get(body_at..sum_at), bytes.get(sum_at..end)) else {
        return Front::More;
    };
    let summed = checksum(bytes.get(..sum_at).unwrap_or(&[]));
    if trailer != format!("10={summed:03}\u{1}").as_bytes() {
        return Front::Garbled;
    }
    match fields(body) {
        Some(fields) if fields.first().is_some_and(|(tag, _)| *tag == 35) => {
            Front::Message(Message { begin, fields }, end)
        }
        _ => Front::Garbled,
    }
}

/// `8=…|9=…|`: version, length where it is one, and where the body begins. `None` when it is not all there.
fn head(bytes: &[u8]) -> Option<(String, Option<usize>, usize)> {
    let bytes = bytes.get(..HEAD_MAX.min(bytes.len()))?;
    let first = bytes.iter().position(|byte| *byte == SOH)?;
    let rest = bytes.get(first + 1..)?;
    let second = rest.iter().position(|byte| *byte == SOH)?;
    let begin = String::from_utf8_lossy(bytes.get(2..first)?).into_owned();
    let length = rest.get(..second)?.strip_prefix(b"9=");
    let length = length.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Some((begin, length, first + 1 + second + 1))
}

fn fields(body: &[u8]) -> Option<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let tag: u32 = std::str::from_utf8(rest.get(..equals)?)
            .ok()?
            .parse()
            .ok()?;
        let value = rest.get(equals + 1..)?;
        let told = DATA.iter().find(|(_, data)| *data == tag);
        let told = told.and_then(|(length, _)| get(&fields, *length)?.parse::<usize>().ok());
        let length = match told {
            Some(length) if value.get(length) == Some(&SOH) => length,
            _ => value.iter().position(|byte| *byte == SOH)?,
        };
        let text = String::from_utf8_lossy(value.get(..length)?).into_owned();
        fields.push((tag, text));
        rest = value.get(length + 1..)?;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Vec<u8> {
        let header = [(34, "3".to_owned()), (49, "US".to_owned())];
        Message::new("0").put(112, "x").encode("FIX.4.4", &header)
    }

    fn all(framer: &mut Framer) -> Vec<Message> {
        framer.collect()
    }

    /// The example that encyclopedias print.
    #[test]
    fn a_published_message_is_read() {
        let text = "8=FIX.4.2|9=65|35=A|49=SERVER|56=CLIENT|34=177|52=20090107-18:15:16|98=0|108=30|10=062|";
        let mut framer = Framer::default();
        framer.feed(text.replace('|', "\u{1}").as_bytes());
        let message = framer.next().unwrap();
        assert_eq!((message.kind(), message.number(34)), ("A", Some(177)));
        assert_eq!(
            (message.begin.as_str(), message.text(56)),
            ("FIX.4.2", "CLIENT")
        );
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let both = [heartbeat(), heartbeat()].concat();
        for at in 0..both.len() {
            let mut framer = Framer::default();
            framer.feed(&both[..at]);
            let mut got = all(&mut framer);
            framer.feed(&both[at..]);
            got.extend(all(&mut framer));
            assert_eq!((got.len(), framer.garbled), (2, 0), "cut at {at}");
            assert_eq!((got[0].kind(), got[1].text(112)), ("0", "x"));
        }
    }

    #[test]
    fn what_is_garbled_is_passed_over() {
        for (place, to) in [(0, b'x'), (12, b'x'), (20, b'x'), (30, 0xff)] {
            let mut bad = heartbeat();
            bad[place] = to;
            let mut framer = Framer::default();
            framer.feed(&[bad, heartbeat()].concat());
            let got = all(&mut framer);
            assert_eq!(got.len(), 1, "{place}");
            assert!(framer.garbled > 0, "{place}");
        }
    }

    #[test]
    fn data_may_hold_the_separator() {
        let mut message = Message::new("A");
        message.put(95, 3).put(96, "a\u{1}b").put(553, "key");
        let mut framer = Framer::default();
        framer.feed(&message.encode("FIX.4.4", &[]));
        let got = framer.next().unwrap();
        assert_eq!((got.text(96), got.text(553)), ("a\u{1}b", "key"));
    }

    #[test]
    fn a_group_is_cut_at_its_first_tag() {
        let mut message = Message::new("U6");
        message.put(73, 2);
        message.put(11, "a").put(38, 1).put(11, "b").put(38, 2);
        let group = message.group(73);
        let sizes: Vec<_> = group
            .iter()
            .map(|one| (one.text(11), one.text(38)))
            .collect();
        assert_eq!(sizes, [("a", "1"), ("b", "2")]);
        assert!(Message::new("U6").group(73).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_end_nothing(bytes in proptest::collection::vec(0u8..=255, 0..300), at in 0usize..80) {
            let mut framer = Framer::default();
            framer.feed(&bytes);
            all(&mut framer);
            let mut broken = heartbeat();
            let place = at % broken.len();
            broken.splice(place..place, bytes);
            framer.feed(&broken);
            all(&mut framer);
            // However it was left, two good ones behind it bring at least the second.
            framer.feed(&vec![b'x'; MESSAGE_MAX + HEAD_MAX + TRAILER]);
            framer.feed(&heartbeat());
            framer.feed(&heartbeat());
            proptest::prop_assert!(!all(&mut framer).is_empty());
        }
    }
}
