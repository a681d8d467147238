//! What a machine said, kept so that two of them can be compared; and messages with something done to them.
//! Shared by the tests of the venues and by the fuzz targets.
#![allow(dead_code)] // each of them uses its part

use dp_types::{BookMsgKind, InstrumentId, LinkId, QuoteMsg, RawLevel, TradeMsg, VenueNanos};
use dp_venue_api::{Event, RestRequest, Sink};

/// One output. Market data is kept as it is, what is rare as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Depth.
    Book {
        instrument: InstrumentId,
        kind: BookMsgKind,
        ids: [i64; 3],
        checksum: Option<u32>,
        bids: Vec<RawLevel>,
        asks: Vec<RawLevel>,
        venue_ns: VenueNanos,
    },
    /// A public trade.
    Trade(TradeMsg),
    /// A best quote.
    Quote(QuoteMsg),
    /// Any other output.
    Other(String),
}

/// Keeps everything it hears.
#[derive(Debug, Default)]
pub struct Ear(pub Vec<Said>);

impl Sink for Ear {
    fn event(&mut self, event: &Event<'_>) {
        self.0.push(match event {
            Event::Book(book) => Said::Book {
                instrument: book.instrument,
                kind: book.kind,
                ids: [book.first_id, book.last_id, book.prev_id],
                checksum: book.checksum,
                bids: book.bids.to_vec(),
                asks: book.asks.to_vec(),
                venue_ns: book.venue_ns,
            },
            Event::Trade(trade) => Said::Trade(*trade),
            Event::Quote(quote) => Said::Quote(*quote),
            event => Said::Other(format!("{event:?}")),
        });
    }
    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        self.0.push(Said::Other(format!("{link:?} {text}")));
    }
    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.0.push(Said::Other(format!("{link:?} {request:?}")));
    }
    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.0.push(Said::Other(format!("{link:?} {why}")));
    }
}

/// What may be done to a message, by numbers that say what and where: everything a proxy, a new version of
/// the venue or an enemy could do to its bytes.
pub fn mutate(text: &mut Vec<u8>, edits: &[(u8, u16, u8)]) {
    const WORDS: [&[u8]; 12] = [
        b" ",
        b"\n",
        b"\\u0030",
        b"\\\"",
        b"e2",
        b"E-1",
        b"-",
        b"0",
        b".",
        b",\"x\":1",
        b"null",
        b"[]",
    ];
    for &(what, place, with) in edits {
        if text.is_empty() {
            return;
        }
        let at = usize::from(place) % text.len();
        match what % 6 {
            0 => text[at] ^= with.max(1),
            1 => text[at] = with,
            2 => {
                text.remove(at);
            }
            3 => text.truncate(at),
            4 => {
                let word = WORDS[usize::from(with) % WORDS.len()];
                text.splice(at..at, word.iter().copied());
            }
            // A piece again further on.
            _ => {
                let piece = text[at..text.len().min(at + usize::from(with % 32))].to_vec();
                let to = usize::from(place.rotate_left(8)) % text.len();
                text.splice(to..to, piece);
            }
        }
    }
}
