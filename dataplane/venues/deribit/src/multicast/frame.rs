//! A datagram of the classic feed taken apart, in place.
//!
//! ```text
//!   frame    length of what follows u16 · channel u16 · sequence number u32
//!   message  blockLength u16 · templateId u16 · schemaId u16 · version u16 · groups u16 · texts u16
//!            root block · groups: blockLength u16 · count u16 · 0 · 0 · blocks · texts: length u8 · bytes
//! ```
//! The counts in a message's header say how long it is: one of a kind we do not know is stepped over.

use super::places::SCHEMA;
use dp_venue_api::DecodeError;
use dp_wire::sbe::{Block, Group, Reader};

/// Something ends before its fields do.
pub(super) const CUT: DecodeError = DecodeError::Shape("a binary message that ends early");

/// A datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) channel: u16,
    pub(super) number: u32,
    pub(super) body: Reader<'a>,
}

impl<'a> Frame<'a> {
    /// Errors: cut, or longer than it says.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut body = Reader::new(bytes);
        let head = body.take(8).ok_or(CUT)?;
        let len = head.u16(0).ok_or(CUT)?;
        if bytes.len() != usize::from(len) + 8 {
            return Err(DecodeError::Shape("a datagram of another length"));
        }
        Ok(Self {
            channel: head.u16(2).ok_or(CUT)?,
            number: head.u32(4).ok_or(CUT)?,
            body,
        })
    }
}

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    pub(super) template: u16,
    pub(super) root: Block<'a>,
    pub(super) root_len: usize,
    /// The first group, which is all that any message has.
    pub(super) group: Option<Group<'a>>,
    /// The first text.
    pub(super) text: &'a [u8],
}

impl<'a> Message<'a> {
    /// The next message of a datagram. Errors: cut, or of another schema.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = reader.header().ok_or(CUT)?;
        if header.schema != SCHEMA {
            return Err(DecodeError::Shape("a binary message of another schema"));
        }
        let counts = reader.take(4).ok_or(CUT)?;
        let (groups, texts) = (counts.u16(0).ok_or(CUT)?, counts.u16(2).ok_or(CUT)?);
        let mut message = Self {
            template: header.template,
            root: reader.root(&header, 0).ok_or(CUT)?,
            root_len: usize::from(header.block_len),
            group: None,
            text: &[],
        };
        for _ in 0..groups {
            let group = reader.group16_flat(1).ok_or(CUT)?;
            message.group.get_or_insert(group);
        }
        for at in 0..texts {
            let text = reader.text8().ok_or(CUT)?;
            if at == 0 {
                message.text = text;
            }
        }
        Ok(message)
    }

    /// The blocks of its group.
    pub(super) fn blocks(&self) -> Result<Group<'a>, DecodeError> {
        self.group.clone().ok_or(CUT)
    }
}
