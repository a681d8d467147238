//! FIX tag=value messages: frames out of a byte stream, views of their fields, and messages written.
//!
//! ```text
//!   8=FIX.4.4|9=55|35=0|34=3|49=US|52=…|56=THEM|10=249|        | is SOH, 0x01
//!            └─ length ─┘ body …………………………………………… └ sum of all before it, modulo 256, three digits
//! ```
//! What cannot be a message is passed over to the next `8=FIX` and told as garbled, as FIX wants it: the session's
//! numbers show that one is missing. A data field (`96` behind `95`) may hold any byte, SOH too. Nothing is kept
//! between two calls; sessions are `dp-proto`'s. Source: FIX 4.4 volume 2, "message integrity"; FIXT 1.1.

use crate::buf::Buf;
use crate::digits::Digits;
use crate::time::{self, TimeText};
use dp_types::Decimal;

/// Ends each field.
pub const SOH: u8 = 1;
/// Longest message read, bytes: a snapshot of some thousand levels.
pub const MESSAGE_MAX: usize = 256 << 10;
/// Longest `8=...|9=...|` looked at.
const HEAD_MAX: usize = 32;
/// `10=000|`.
const TRAILER: usize = 7;
/// Longest tag, digits.
const TAG_DIGITS_MAX: usize = 6;
/// A field of this tag says how many bytes the field of the other one has.
const DATA: [(u32, u32); 9] = [
    (95, 96),
    (90, 91),
    (93, 89),
    (212, 213),
    (348, 349),
    (350, 351),
    (354, 355),
    (358, 359),
    (360, 361),
];

/// Why bytes were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Garbled {
    /// They do not begin like a message.
    #[error("no message begins here")]
    Begin,
    /// The length is no number, or over [`MESSAGE_MAX`].
    #[error("body length is no number or over its maximum")]
    Length,
    /// No checksum stands where the length says.
    #[error("no checksum where the length says")]
    Trailer,
    /// It does not add up.
    #[error("checksum is wrong")]
    Sum,
    /// A field is not `tag=value`, or the message type is not the first one.
    #[error("a field is not tag=value")]
    Field,
}

/// What is at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole message of so many bytes.
    Message(Message<'a>, usize),
    /// So many bytes that are none.
    Garbled(Garbled, usize),
    /// Not all of it is here yet.
    More,
}

/// A message whose length, checksum and fields are sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// All of its bytes.
    pub bytes: &'a [u8],
    /// From its type to its last field, the closing SOH included.
    body: &'a [u8],
    /// How our message that it refuses began.
    refused: &'a [u8],
}

fn position(bytes: &[u8], what: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == what)
}

/// Bytes before the next place a message can begin, at least one; the end of what is here may be the start of one.
fn skip(bytes: &[u8]) -> usize {
    const BEGIN: &[u8] = b"8=FIX";
    let rest = bytes.get(1..).unwrap_or_default();
    let next = (0..rest.len()).find(|at| {
        let tail = rest.get(*at..).unwrap_or_default();
        let len = tail.len().min(BEGIN.len());
        tail.get(..len) == BEGIN.get(..len)
    });
    1 + next.unwrap_or(rest.len())
}

/// The sum of bytes modulo 256, as the checksum counts.
fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Looks at what is at the front of `bytes`. Call again behind what it took.
///
/// Cost: O(bytes of the message), no allocation. It never takes more than there is and always at least one byte
/// unless it wants [`Frame::More`], which it does only below [`MESSAGE_MAX`] and a head.
pub fn frame(bytes: &[u8]) -> Frame<'_> {
    let garbled = |why| Frame::Garbled(why, skip(bytes));
    let begin = b"8=FIX";
    let seen = bytes.len().min(begin.len());
    if bytes.get(..seen) != begin.get(..seen) {
        return garbled(Garbled::Begin);
    }
    let head = bytes.get(..bytes.len().min(HEAD_MAX)).unwrap_or_default();
    let is_whole_head = bytes.len() >= HEAD_MAX;
    let Some(version) = position(head, SOH) else {
        return if is_whole_head {
            garbled(Garbled::Begin)
        } else {
            Frame::More
        };
    };
    let rest = head.get(version + 1..).unwrap_or_default();
    let Some(end) = position(rest, SOH) else {
        return if is_whole_head {
            garbled(Garbled::Length)
        } else {
            Frame::More
        };
    };
    let length = rest
        .get(..end)
        .and_then(|field| field.strip_prefix(b"9="))
        .and_then(unsigned)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= MESSAGE_MAX);
    let Some(length) = length else {
        return garbled(Garbled::Length);
    };
    let start = version + 1 + end + 1;
    let (trailer, whole) = (start + length, start + length + TRAILER);
    let Some(message) = bytes.get(..whole) else {
        return Frame::More;
    };
    let (counted, check) = message.split_at(trailer);
    let told = check
        .strip_prefix(b"10=")
        .and_then(|rest| rest.strip_suffix(&[SOH]))
        .and_then(unsigned);
    let Some(told) = told else {
        return garbled(Garbled::Trailer);
    };
    if u64::from(sum(counted)) != told {
        return Frame::Garbled(Garbled::Sum, whole);
    }
    let body = counted.get(start..).unwrap_or_default();
    let mut fields = Fields::of(body);
    let is_typed = fields
        .next()
        .is_some_and(|(tag, value)| tag == 35 && !value.is_empty());
    fields.by_ref().for_each(drop);
    if !is_typed || !fields.is_sound() {
        return Frame::Garbled(Garbled::Field, whole);
    }
    Frame::Message(
        Message {
            bytes: message,
            body,
            refused: &[],
        },
        whole,
    )
}

/// Digits only, at least one, at most nineteen.
fn unsigned(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

impl<'a> Message<'a> {
    /// Its fields in order, from the type (35) on.
    pub const fn fields(&self) -> Fields<'a> {
        Fields::of(self.body)
    }

    /// The same, as a refusal of a message that began with these fields: whoever knows the session's numbers says so.
    pub const fn refusing(self, refused: &'a [u8]) -> Self {
        Self { refused, ..self }
    }

    /// Fields of the message it refuses, the type (35) first, as far as they are remembered; none where it refuses none.
    pub const fn refused(&self) -> Fields<'a> {
        Fields::of(self.refused)
    }

    /// The first field of a tag. Cost: O(fields).
    pub fn get(&self, tag: u32) -> Option<&'a [u8]> {
        self.fields()
            .find(|(found, _)| *found == tag)
            .map(|(_, value)| value)
    }

    /// The type (35).
    pub fn kind(&self) -> &'a [u8] {
        self.get(35).unwrap_or_default()
    }

    /// An unsigned number.
    pub fn u64(&self, tag: u32) -> Option<u64> {
        unsigned(self.get(tag)?)
    }

    /// A decimal number.
    pub fn decimal(&self, tag: u32) -> Option<Decimal> {
        Decimal::parse(self.get(tag)?).ok()
    }

    /// `Y` or `N`; N when it is not there.
    pub fn flag(&self, tag: u32) -> bool {
        self.get(tag) == Some(b"Y")
    }

    /// A UTCTimestamp, nanoseconds since 1970.
    pub fn time_ns(&self, tag: u32) -> Option<u64> {
        time::parse_fix(self.get(tag)?)
    }

    /// A text.
    pub fn text(&self, tag: u32) -> Option<&'a str> {
        core::str::from_utf8(self.get(tag)?).ok()
    }
}

/// The fields of a message, in order: tag and value.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// The field that follows is this tag's and has so many bytes.
    data: Option<(u32, usize)>,
    is_sound: bool,
}

impl<'a> Fields<'a> {
    const fn of(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            data: None,
            is_sound: true,
        }
    }

    /// Whether all that was read were fields.
    pub const fn is_sound(&self) -> bool {
        self.is_sound
    }

    fn read(&mut self) -> Option<(u32, &'a [u8])> {
        let equals = position(self.rest, b'=').filter(|at| *at <= TAG_DIGITS_MAX)?;
        let (tag, value) = (self.rest.get(..equals)?, self.rest.get(equals + 1..)?);
        let tag = u32::try_from(unsigned(tag)?).ok().filter(|tag| *tag > 0)?;
        let end = match self.data.take() {
            Some((of, len)) if of == tag => len,
            _ => position(value, SOH)?,
        };
        (*value.get(end)? == SOH).then_some(())?;
        self.rest = value.get(end + 1..)?;
        let value = value.get(..end)?;
        if let Some((_, of)) = DATA.iter().find(|(length, _)| *length == tag) {
            self.data = Some((*of, usize::try_from(unsigned(value)?).ok()?));
        }
        Some((tag, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || !self.is_sound {
            return None;
        }
        let field = self.read();
        self.is_sound = field.is_some();
        field
    }
}

/// Room for one message written.
pub const OUT_MAX: usize = 8 << 10;

/// A message being written.
pub type Out = Writer<OUT_MAX>;

/// What a logon is about, for whoever signs it.
#[derive(Debug, Clone, Copy)]
pub struct LogonFacts {
    /// Its number.
    pub seq: u64,
    /// Its sending time, nanoseconds since 1970.
    pub time_ns: u64,
}

/// Writes the fields a venue wants in a logon beside the common ones.
pub type LogonFields = Box<dyn Fn(LogonFacts, &mut Out) + Send>;

/// The body of a message being written, from its type on. Never panics: what does not fit is told by
/// [`Writer::finish`].
#[derive(Debug, Clone)]
pub struct Writer<const N: usize> {
    body: Buf<N>,
}

impl<const N: usize> Default for Writer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Writer<N> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { body: Buf::new() }
    }

    /// Begins a message of this type (35).
    pub fn begin(&mut self, kind: &[u8]) -> &mut Self {
        self.clear().bytes(35, kind)
    }

    /// Begins fields that another message is to hold ([`Writer::raw`]).
    pub fn clear(&mut self) -> &mut Self {
        self.body.clear();
        self
    }

    /// What was written; `None` when some of it did not fit.
    pub fn whole(&self) -> Option<&[u8]> {
        self.body.finish().ok()
    }

    /// A field as it is. A value must not hold SOH: [`Writer::data`] is for that.
    pub fn bytes(&mut self, tag: u32, value: &[u8]) -> &mut Self {
        self.body.push_u64(tag.into());
        self.body.push(b'=');
        self.body.push_bytes(value);
        self.body.push(SOH);
        self
    }

    /// A text.
    pub fn text(&mut self, tag: u32, value: &str) -> &mut Self {
        self.bytes(tag, value.as_bytes())
    }

    /// A number.
    pub fn u64(&mut self, tag: u32, value: u64) -> &mut Self {
        self.body.push_u64(tag.into());
        self.body.push(b'=');
        self.body.push_u64(value);
        self.body.push(SOH);
        self
    }

    /// A decimal number without the zeros behind the last place that counts.
    pub fn decimal(&mut self, tag: u32, value: Decimal) -> &mut Self {
        self.bytes(tag, Digits::decimal(value).as_bytes())
    }

    /// `Y` or `N`.
    pub fn flag(&mut self, tag: u32, value: bool) -> &mut Self {
        self.bytes(tag, if value { b"Y" } else { b"N" })
    }

    /// A UTCTimestamp with milliseconds; `ns` since 1970.
    pub fn time(&mut self, tag: u32, ns: u64) -> &mut Self {
        self.bytes(tag, TimeText::fix_millis(ns).as_bytes())
    }

    /// Bytes of any kind behind their length.
    pub fn data(&mut self, length_tag: u32, tag: u32, value: &[u8]) -> &mut Self {
        self.u64(length_tag, value.len() as u64).bytes(tag, value)
    }

    /// Fields that are written already, each with its SOH.
    pub fn raw(&mut self, fields: &[u8]) -> &mut Self {
        self.body.push_bytes(fields);
        self
    }

    /// What is written so far, for signatures over it.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// Appends the whole message to `out`. Says whether it fitted; nothing is appended when it did not.
    pub fn finish(&self, version: &str, out: &mut Vec<u8>) -> bool {
        let Ok(body) = self.body.finish() else {
            return false;
        };
        let start = out.len();
        let mut head = Buf::<64>::new();
        head.push_str("8=");
        head.push_str(version);
        head.push(SOH);
        head.push_str("9=");
        head.push_u64(body.len() as u64);
        head.push(SOH);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body);
        let sum = sum(out.get(start..).unwrap_or_default());
        let digit = |place: u8| b'0' + sum / place % 10;
        out.extend_from_slice(&[b'1', b'0', b'=', digit(100), digit(10), digit(1), SOH]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(text: &str) -> Vec<u8> {
        text.replace('|', "\u{1}").into_bytes()
    }

    fn whole(bytes: &[u8]) -> Message<'_> {
        match frame(bytes) {
            Frame::Message(message, used) if used == bytes.len() => message,
            other => panic!("{other:?}"),
        }
    }

    /// From Binance's FIX page, as recorded in the shared examples.
    const TEST_REQUEST: &str =
        "8=FIX.4.4|9=55|35=5|34=3|49=GhQHzrLR|52=20240611-09:44:25.543|56=SPOT|10=249|";

    #[test]
    fn a_message_of_a_venue() {
        let bytes = wire(TEST_REQUEST);
        let message = whole(&bytes);
        assert_eq!((message.kind(), message.u64(34)), (&b"5"[..], Some(3)));
        assert_eq!(message.text(49), Some("GhQHzrLR"));
        assert_eq!(message.time_ns(52), Some(1_718_099_065_543_000_000));
        assert_eq!(message.get(58), None);
        let mut again = Writer::<128>::new();
        again
            .begin(b"5")
            .u64(34, 3)
            .text(49, "GhQHzrLR")
            .time(52, 1_718_099_065_543_000_000)
            .text(56, "SPOT");
        let mut out = Vec::new();
        assert!(again.finish("FIX.4.4", &mut out));
        assert_eq!(out, bytes);
    }

    #[test]
    fn every_cut_wants_more() {
        let bytes = wire(TEST_REQUEST);
        for len in 0..bytes.len() {
            assert_eq!(frame(&bytes[..len]), Frame::More, "{len}");
        }
    }

    #[test]
    fn every_changed_byte_is_found_out() {
        let bytes = wire(TEST_REQUEST);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            // A digit of the length may also ask for more than there is.
            let found = frame(&damaged);
            assert!(
                matches!(found, Frame::Garbled(..) | Frame::More),
                "{at}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_garbled_is_passed_over_to_the_next_message() {
        let good = wire(TEST_REQUEST);
        let mut bytes = wire("noise|8=FI");
        bytes.extend(&good[..20]);
        bytes.extend(&good);
        let (mut at, mut garbled) = (0, 0);
        loop {
            match frame(&bytes[at..]) {
                Frame::Garbled(_, used) => {
                    assert!(used > 0);
                    garbled += 1;
                    at += used;
                }
                Frame::Message(message, used) => {
                    assert_eq!(message.bytes, good);
                    assert_eq!(at + used, bytes.len());
                    break;
                }
                Frame::More => panic!("stuck at {at}"),
            }
        }
        assert!(garbled >= 2, "{garbled}");
        let long = wire("8=FIX.4.4|9=999999999|35=0|");
        assert!(matches!(frame(&long), Frame::Garbled(Garbled::Length, _)));
    }

    #[test]
    fn data_holds_any_byte() {
        let mut writer = Writer::<128>::new();
        writer.begin(b"A").data(95, 96, b"a\x01b=c").u64(108, 30);
        let mut out = Vec::new();
        assert!(writer.finish("FIX.4.4", &mut out));
        let message = whole(&out);
        assert_eq!(
            (message.get(96), message.u64(108)),
            (Some(&b"a\x01b=c"[..]), Some(30))
        );
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let mut writer = Writer::<16>::new();
        writer.begin(b"D").text(11, "far too long a text");
        let mut out = vec![7];
        assert!(!writer.finish("FIX.4.4", &mut out));
        assert_eq!(out, [7]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_wanted(bytes: Vec<u8>, has_begin: bool) {
            let mut bytes = bytes;
            if has_begin {
                bytes.splice(0..0, *b"8=FIX.4.4\x019=");
            }
            match frame(&bytes) {
                Frame::Message(_, used) | Frame::Garbled(_, used) => {
                    prop_assert!(0 < used && used <= bytes.len());
                }
                Frame::More => prop_assert!(bytes.len() < MESSAGE_MAX + 64),
            }
        }

        #[test]
        fn what_is_written_is_read(
            fields in prop::collection::vec((1u32..999_999, "[ -~]{0,20}"), 0..20)
        ) {
            let fields: Vec<_> = fields
                .into_iter()
                .filter(|(tag, _)| *tag != 35 && DATA.iter().all(|(length, _)| length != tag))
                .collect();
            let mut writer = Writer::<1024>::new();
            writer.begin(b"8");
            for (tag, value) in &fields {
                writer.text(*tag, value);
            }
            let mut out = Vec::new();
            prop_assert!(writer.finish("FIXT.1.1", &mut out));
            let read: Vec<_> = whole(&out)
                .fields()
                .skip(1)
                .map(|(tag, value)| (tag, String::from_utf8_lossy(value).into_owned()))
                .collect();
            prop_assert_eq!(read, fields);
        }
    }
}
