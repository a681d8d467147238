//! What a machine said, kept so that two of them can be compared.

use core::fmt::Debug;
use dp_types::{BookMsgKind, InstrumentId, LinkId, QuoteMsg, RawLevel, TradeMsg, VenueNanos};
use dp_venue_api::{Event, ReadCounts, RestRequest, Sink};

/// One output. Market data is kept as it is, what is rare as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Depth.
    Book {
        /// Whose.
        instrument: InstrumentId,
        /// Snapshot or delta.
        kind: BookMsgKind,
        /// First, last and previous.
        ids: [i64; 3],
        /// The venue's.
        checksum: Option<u32>,
        /// As they came.
        bids: Vec<RawLevel>,
        /// As they came.
        asks: Vec<RawLevel>,
        /// The venue's time.
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

/// Reads a message in two ways: both must say the same and return the same.
pub fn same<T: PartialEq + Debug>(
    text: &[u8],
    one: impl FnOnce(&mut [u8], &mut Ear) -> T,
    other: impl FnOnce(&mut [u8], &mut Ear) -> T,
) {
    let (mut ours, mut theirs) = (Ear::default(), Ear::default());
    let got = one(&mut text.to_vec(), &mut ours);
    let want = other(&mut text.to_vec(), &mut theirs);
    assert_eq!(got, want, "{}", String::from_utf8_lossy(text));
    assert_eq!(ours.0, theirs.0, "{}", String::from_utf8_lossy(text));
}

/// Whether the one message read since `before` was scanned.
pub fn is_scanned(before: ReadCounts, after: ReadCounts) -> bool {
    let since = after - before;
    assert_eq!(since.scanned + since.parsed, 1, "counted once");
    since.scanned == 1
}
