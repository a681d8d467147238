//! What venue machines want sent, kept until the link that must send it is free to be borrowed.
//!
//! A venue machine answers while the link's bytes are still being parsed; its words wait here, in one
//! preallocated arena, and are framed, sealed and handed to the transport right after.

use dp_types::LinkId;
use dp_venue_api::{RestMethod, RestRequest, RestTag};

/// Text waiting to be framed: sixteen full-size order messages and the largest subscription.
const ARENA_BYTES: usize = 256 << 10;
/// Messages waiting at once.
const ITEMS_MAX: usize = 256;

/// One thing a venue machine asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// WebSocket text: `start..end` of the arena.
    Text {
        /// Which link.
        link: LinkId,
        /// Start in the arena.
        start: u32,
        /// End in the arena.
        end: u32,
    },
    /// FIX message: its type, and its fields at `start..end` of the arena.
    Fix {
        /// Which link.
        link: LinkId,
        /// Its type (35).
        kind: &'static str,
        /// Start in the arena.
        start: u32,
        /// End in the arena.
        end: u32,
    },
    /// The link must be closed and opened again.
    Reconnect {
        /// Which link.
        link: LinkId,
        /// For the log and the counter.
        why: &'static str,
    },
    /// A held link may be opened with the target at `start..end` of the arena.
    Connect {
        /// Which link.
        link: LinkId,
        /// Start in the arena.
        start: u32,
        /// End in the arena.
        end: u32,
    },
}

/// A REST request copied out of the machine. Cold path: REST never carries a hot order.
#[derive(Debug, Clone)]
pub struct OwnedRequest {
    /// Comes back with the answer.
    pub tag: RestTag,
    /// Method.
    pub method: RestMethod,
    /// Path with query.
    pub target: String,
    /// Extra fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The outputs of one venue between two flushes.
#[derive(Debug)]
pub struct Outbox {
    arena: Vec<u8>,
    items: Vec<Item>,
    requests: Vec<(LinkId, OwnedRequest)>,
    /// Outputs that did not fit and were dropped; each is a link that will be replaced.
    pub overflows: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbox {
    /// An empty outbox with its memory taken.
    pub fn new() -> Self {
        Self {
            arena: Vec::with_capacity(ARENA_BYTES),
            items: Vec::with_capacity(ITEMS_MAX),
            requests: Vec::with_capacity(16),
            overflows: 0,
        }
    }

    /// Copies a text message in. One that does not fit asks for a new link instead: a venue machine
    /// whose words are lost must start over.
    pub fn text(&mut self, link: LinkId, text: &[u8]) {
        if let Some((start, end)) = self.keep(link, text) {
            self.items.push(Item::Text { link, start, end });
        }
    }

    /// Copies a FIX message's fields in. As [`Outbox::text`].
    pub fn fix(&mut self, link: LinkId, kind: &'static str, fields: &[u8]) {
        if let Some((start, end)) = self.keep(link, fields) {
            self.items.push(Item::Fix {
                link,
                kind,
                start,
                end,
            });
        }
    }

    /// Lets a held link be opened with this target.
    pub fn connect(&mut self, link: LinkId, path: &str) {
        if let Some((start, end)) = self.keep(link, path.as_bytes()) {
            self.items.push(Item::Connect { link, start, end });
        }
    }

    fn keep(&mut self, link: LinkId, text: &[u8]) -> Option<(u32, u32)> {
        let start = self.arena.len();
        if start + text.len() > ARENA_BYTES || self.items.len() >= ITEMS_MAX {
            self.overflows += 1;
            self.reconnect(link, "the outbox is full");
            return None;
        }
        self.arena.extend_from_slice(text);
        Some((start as u32, self.arena.len() as u32))
    }

    /// Queues a REST request.
    pub fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        let headers = request
            .headers
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        self.requests.push((
            link,
            OwnedRequest {
                tag: request.tag,
                method: request.method,
                target: request.target.to_owned(),
                headers: headers.collect(),
                body: request.body.to_vec(),
            },
        ));
    }

    /// Asks for a new link, once per link and flush.
    pub fn reconnect(&mut self, link: LinkId, why: &'static str) {
        let is_asked = self
            .items
            .iter()
            .any(|item| matches!(item, Item::Reconnect { link: asked, .. } if *asked == link));
        if !is_asked && self.items.len() < self.items.capacity() {
            self.items.push(Item::Reconnect { link, why });
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.requests.is_empty()
    }

    /// The waiting items, in order.
    pub fn items(&self) -> impl Iterator<Item = (Item, &[u8])> {
        self.items.iter().map(|item| {
            let text = match *item {
                Item::Text { start, end, .. }
                | Item::Fix { start, end, .. }
                | Item::Connect { start, end, .. } => self.arena.get(start as usize..end as usize),
                Item::Reconnect { .. } => None,
            };
            (*item, text.unwrap_or(&[]))
        })
    }

    /// Takes the waiting requests.
    pub fn take_requests(&mut self) -> impl Iterator<Item = (LinkId, OwnedRequest)> + '_ {
        self.requests.drain(..)
    }

    /// Forgets texts and reconnects, once they are flushed.
    pub fn clear_items(&mut self) {
        self.items.clear();
        self.arena.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_in_order_and_overflow_asks_for_a_new_link() {
        let mut outbox = Outbox::new();
        outbox.text(LinkId(1), b"a");
        outbox.text(LinkId(2), b"bc");
        let texts: Vec<_> = outbox.items().map(|(_, text)| text.to_vec()).collect();
        assert_eq!(texts, [b"a".to_vec(), b"bc".to_vec()]);
        outbox.text(LinkId(1), &vec![b'x'; ARENA_BYTES]);
        assert_eq!(outbox.overflows, 1);
        assert!(
            outbox
                .items()
                .any(|(item, _)| matches!(item, Item::Reconnect { .. }))
        );
        outbox.clear_items();
        assert!(outbox.is_empty());
    }

    #[test]
    fn one_reconnect_a_link() {
        let mut outbox = Outbox::new();
        for _ in 0..5 {
            outbox.reconnect(LinkId(3), "x");
        }
        assert_eq!(outbox.items().count(), 1);
    }
}
