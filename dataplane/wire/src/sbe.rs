//! Simple Binary Encoding, read in place: header, root block, groups, texts, each by the sizes on the wire.
//!
//! ```text
//!   header  blockLength u16 · templateId u16 · schemaId u16 · version u16                      little endian
//!   root    blockLength bytes, fields at fixed places            a newer version may have more: they are stepped over
//!   group   blockLength u16 · count u16 or u32, then so many blocks
//!   text    length u8, then so many bytes
//! ```
//! A schema here is a table of places in the venue's own file; nothing is generated and nothing copied. Source: FIX
//! Trading Community, SBE 1.0, sections 3 and 4.

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the root block.
    pub block_len: u16,
    /// Which message.
    pub template: u16,
    /// Of which schema.
    pub schema: u16,
    /// Of which version of it.
    pub version: u16,
}

/// Reads a message from the front. Everything is `None` that is not there; it never reads beyond the end.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// A block of fields at fixed places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a>(&'a [u8]);

/// Blocks of the same kind.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    blocks: core::slice::ChunksExact<'a, u8>,
}

impl<'a> Reader<'a> {
    /// A reader of a whole message.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes: what stands around messages in a datagram, or a message whose length is told outside.
    pub fn take(&mut self, len: usize) -> Option<Block<'a>> {
        let (block, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Block(block))
    }

    /// The header.
    pub fn header(&mut self) -> Option<Header> {
        let block = self.take(8)?;
        Some(Header {
            block_len: block.u16(0)?,
            template: block.u16(2)?,
            schema: block.u16(4)?,
            version: block.u16(6)?,
        })
    }

    /// The root block, which must have at least `len_min` bytes.
    pub fn root(&mut self, header: &Header, len_min: usize) -> Option<Block<'a>> {
        let len = usize::from(header.block_len);
        (len >= len_min).then(|| self.take(len))?
    }

    /// A group whose count has two bytes; each block must have at least `len_min`.
    pub fn group16(&mut self, len_min: usize) -> Option<Group<'a>> {
        let head = self.take(4)?;
        self.group(head.u16(0)?, u32::from(head.u16(2)?), len_min)
    }

    /// A group whose count has four bytes; each block must have at least `len_min`.
    pub fn group32(&mut self, len_min: usize) -> Option<Group<'a>> {
        let head = self.take(6)?;
        self.group(head.u16(0)?, head.u32(2)?, len_min)
    }

    /// A group as [`Reader::group16`], with the counts of what is inside its blocks behind: groups and texts, of which
    /// there must be none.
    pub fn group16_flat(&mut self, len_min: usize) -> Option<Group<'a>> {
        let head = self.take(8)?;
        (head.u32(4)? == 0).then(|| self.group(head.u16(0)?, u32::from(head.u16(2)?), len_min))?
    }

    fn group(&mut self, block_len: u16, count: u32, len_min: usize) -> Option<Group<'a>> {
        let len = usize::from(block_len);
        if len < len_min || len == 0 {
            return None;
        }
        let blocks = self.take(len.checked_mul(usize::try_from(count).ok()?)?)?;
        Some(Group {
            blocks: blocks.0.chunks_exact(len),
        })
    }

    /// A text behind its length in one byte.
    pub fn text8(&mut self) -> Option<&'a [u8]> {
        let len = self.take(1)?.u8(0)?;
        Some(self.take(usize::from(len))?.0)
    }
}

impl<'a> Block<'a> {
    fn bytes<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    /// A text of fixed room: it ends at the first zero byte.
    pub fn text(self, at: usize, len: usize) -> Option<&'a [u8]> {
        let room = self.0.get(at..)?.get(..len)?;
        room.split(|byte| *byte == 0).next()
    }

    /// A reader of what is in it.
    pub const fn reader(self) -> Reader<'a> {
        Reader::new(self.0)
    }

    /// One byte.
    pub fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    /// One signed byte.
    pub fn i8(self, at: usize) -> Option<i8> {
        self.u8(at).map(u8::cast_signed)
    }

    /// Two bytes.
    pub fn u16(self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(self, at: usize) -> Option<u64> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    /// Eight signed bytes.
    pub fn i64(self, at: usize) -> Option<i64> {
        self.bytes(at).map(i64::from_le_bytes)
    }
}

impl<'a> Iterator for Group<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        self.blocks.next().map(Block)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.blocks.size_hint()
    }
}

impl ExactSizeIterator for Group<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_on_the_wire_are_stepped_by() {
        let mut bytes = vec![10, 0, 7, 0, 1, 0, 3, 0];
        bytes.extend(5i64.to_le_bytes());
        bytes.extend([0xff, 9]); // of a newer version
        bytes.extend([3, 0, 2, 0, 1, 2, 3, 4, 5, 6]);
        bytes.extend([3, 0, 1, 0, 0, 0, 7, 8, 9]);
        bytes.extend(b"\x03BTC");
        let mut reader = Reader::new(&bytes);
        let header = reader.header().unwrap();
        assert_eq!((header.template, header.schema, header.version), (7, 1, 3));
        let root = reader.root(&header, 8).unwrap();
        assert_eq!(
            (root.i64(0), root.i8(8), root.i64(3)),
            (Some(5), Some(-1), None)
        );
        let group = reader.group16(2).unwrap();
        assert_eq!(group.len(), 2);
        assert_eq!(
            group.map(|block| block.u16(1)).collect::<Vec<_>>(),
            [Some(0x0302), Some(0x0605)]
        );
        assert_eq!(
            reader
                .group32(3)
                .unwrap()
                .map(|block| block.u8(2))
                .collect::<Vec<_>>(),
            [Some(9)]
        );
        assert_eq!(reader.text8(), Some(&b"BTC"[..]));
        assert_eq!(reader.text8(), None);
    }

    #[test]
    fn groups_with_more_counts_and_texts_of_fixed_room() {
        let bytes = [1, 0, 2, 0, 0, 0, 0, 0, 7, 8];
        let group = |bytes: &'static [u8]| Reader::new(bytes).group16_flat(1).map(Iterator::count);
        assert_eq!(Reader::new(&bytes).group16_flat(1).unwrap().len(), 2);
        assert_eq!(group(&[1, 0, 1, 0, 1, 0, 0, 0, 7]), None, "groups inside");
        assert_eq!(group(&[1, 0, 1, 0, 0, 0, 1, 0, 7]), None, "texts inside");
        let block = Reader::new(b"BTC\0xUSDC").take(9).unwrap();
        assert_eq!(block.text(0, 5), Some(&b"BTC"[..]));
        assert_eq!(block.text(5, 4), Some(&b"USDC"[..]));
        assert_eq!(block.text(5, 5), None);
        assert_eq!(block.reader().take(3).unwrap().u8(2), Some(b'C'));
        assert_eq!(block.u64(1), Some(u64::from_le_bytes(*b"TC\0xUSDC")));
    }

    #[test]
    fn what_is_shorter_than_its_fields_is_none() {
        let header = Header {
            block_len: 4,
            template: 1,
            schema: 1,
            version: 0,
        };
        assert_eq!(Reader::new(&[0; 16]).root(&header, 5), None);
        assert!(Reader::new(&[1, 0, 0, 0]).group16(2).is_none());
        assert!(
            Reader::new(&[0, 0, 9, 0]).group16(0).is_none(),
            "no blocks of no bytes"
        );
        assert!(
            Reader::new(&[9, 0, 255, 255, 255, 255, 1])
                .group32(1)
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn it_never_reads_beyond(bytes: Vec<u8>, len_min in 0usize..20) {
            let mut reader = Reader::new(&bytes);
            if let Some(header) = reader.header() {
                let _ = reader.root(&header, len_min);
            }
            if let Some(group) = reader.group16(len_min) {
                prop_assert!(group.len() <= bytes.len());
            }
            let _ = reader.group32(len_min).map(Iterator::count);
            if let Some(group) = reader.group16_flat(len_min) {
                prop_assert!(group.len() <= bytes.len());
            }
            let _ = reader.text8();
        }
    }
}
