//! A machine driven by hand, and what it said as text a test can compare.

use dp_types::{Decimal, LinkId, Now, Tsc, UnixNanos};
use dp_venue_api::{
    Event, Fault, Registry, RestRequest, RestResponse, RestTag, Secrets, Sink, Venue, VenueConfig,
};
use dp_wire::fix::{Frame, frame};

/// 2025-10-09T08:53:20Z, the time of the fixtures, milliseconds.
pub const START_MS: u64 = 1_760_000_000_000;

/// So many milliseconds after [`START_MS`].
pub fn at_ms(ms: u64) -> Now {
    Now {
        tsc: Tsc(0),
        unix: UnixNanos::from_millis(START_MS + ms),
    }
}

/// Hosts that are none, these symbols, these keys.
pub fn config(symbols: &[&str], secrets: Secrets, order_window_ms: u32) -> VenueConfig {
    VenueConfig {
        rest: ("rest.test".into(), 1),
        public: ("public.test".into(), 2),
        private: ("private.test".into(), 3),
        symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        secrets,
        order_window_ms,
        ..VenueConfig::default()
    }
}

/// `NAME.json` of a crate's fixtures; `crate_dir` is its `CARGO_MANIFEST_DIR`.
pub fn fixture(crate_dir: &str, name: &str) -> &'static str {
    let path = format!("{crate_dir}/fixtures/{name}.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.trim_end().to_owned().leak()
}

/// Every fixture of a crate, by name.
pub fn fixtures(crate_dir: &str) -> Vec<(String, &'static str)> {
    let dir = format!("{crate_dir}/fixtures");
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{dir}: {error}"));
    let mut names: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.expect("an entry").file_name();
            Some(name.to_str()?.strip_suffix(".json")?.to_owned())
        })
        .collect();
    names.sort();
    let read = |name: String| {
        let text = fixture(crate_dir, &name);
        (name, text)
    };
    names.into_iter().map(read).collect()
}

/// Everything a machine said.
#[derive(Debug, Default)]
pub struct Said {
    /// Events.
    pub events: Vec<String>,
    /// WebSocket texts.
    pub sent: Vec<(LinkId, String)>,
    /// REST requests.
    pub requests: Vec<Request>,
    /// Links it wants anew, and why.
    pub reconnects: Vec<(LinkId, &'static str)>,
}

/// A REST request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to.
    pub link: LinkId,
    /// To be given back with the answer.
    pub tag: RestTag,
    /// Method and target.
    pub line: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Empty for none.
    pub body: String,
}

impl Sink for Said {
    fn event(&mut self, event: &Event<'_>) {
        self.events.push(match event {
            Event::Order(report) => format!(
                "Order {} {} {:?} px {} qty {} cum {}",
                report
                    .client_id
                    .map_or("-".into(), |id| id.sequence().to_string()),
                report.state.name(),
                report.reason,
                known(report.price),
                known(report.qty),
                known(report.cum),
            ),
            Event::Fill(fill) => format!(
                "Fill {} trade {} {} {} @ {} fee {} {:?} {}",
                fill.client_id
                    .map_or("-".into(), |id| id.sequence().to_string()),
                fill.trade_id.0,
                fill.side.name(),
                fill.qty,
                fill.price,
                fill.fee,
                fill.fee_asset,
                fill.liquidity.name(),
            ),
            Event::Funding(it) => format!(
                "Funding {} {} {:?} id {} at {}",
                it.instrument.0, it.amount, it.asset, it.id.0, it.venue_ns.0
            ),
            Event::Balance(balance) => format!(
                "Balance {:?} free {} locked {}",
                balance.asset, balance.free, balance.locked
            ),
            Event::Position(position) => format!(
                "Position {} {} @ {}",
                position.instrument.0,
                position.qty,
                known(position.entry)
            ),
            Event::Book(book) => format!(
                "Book {:?} {}..{} prev {} checksum {:?} {}x{}",
                book.kind,
                book.first_id,
                book.last_id,
                book.prev_id,
                book.checksum.map(u32::cast_signed),
                book.bids.len(),
                book.asks.len()
            ),
            Event::L3(book) => format!(
                "L3 {:?} {} checksum {:?} {} orders",
                book.kind,
                book.last_id,
                book.checksum.map(u32::cast_signed),
                book.orders.len()
            ),
            Event::Trade(trade) => format!(
                "Trade {} {} {} @ {}",
                trade.trade_id.0,
                trade.taker.name(),
                trade.qty,
                trade.price
            ),
            Event::Quote(quote) => format!(
                "Quote {} {} @ {} / {} @ {}",
                quote.update_id, quote.bid.qty, quote.bid.price, quote.ask.qty, quote.ask.price
            ),
            Event::Ack(ack) => format!(
                "Ack {} order {} {:?} {}",
                ack.client_id.sequence(),
                ack.order_id.0,
                ack.reason,
                ack.code
            ),
            Event::Control(control) => format!("{control:?}"),
            Event::Ignored(why) => {
                let reason = dp_venue_api::Reason::of(why);
                assert!(reason.is_some(), "`{why}` belongs to no reason of the list");
                format!("Ignored {why}")
            }
        });
    }

    fn send_text(&mut self, link: LinkId, text: &[u8]) {
        let text = String::from_utf8(text.to_vec()).expect("text frames are UTF-8");
        self.sent.push((link, text));
    }

    /// FIX messages stand among the texts, `|` for SOH, without the header that is the link's.
    fn send_fix(&mut self, link: LinkId, kind: &'static str, fields: &[u8]) {
        let fields = String::from_utf8(fields.to_vec()).expect("fields are UTF-8");
        let text = format!("35={kind}|{}", fields.replace('\u{1}', "|"));
        self.sent.push((link, text));
    }

    fn request(&mut self, link: LinkId, request: &RestRequest<'_>) {
        self.requests.push(Request {
            link,
            tag: request.tag,
            line: format!("{} {}", request.method.as_str(), request.target),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: String::from_utf8(request.body.to_vec()).expect("bodies are UTF-8"),
        });
    }

    fn reconnect(&mut self, link: LinkId, why: &'static str) {
        self.reconnects.push((link, why));
    }
}

fn known(value: Option<Decimal>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

/// Hears nothing and keeps nothing.
#[derive(Debug)]
pub struct Nobody;

impl Sink for Nobody {
    fn event(&mut self, _: &Event<'_>) {}
    fn send_text(&mut self, _: LinkId, _: &[u8]) {}
    fn request(&mut self, _: LinkId, _: &RestRequest<'_>) {}
    fn reconnect(&mut self, _: LinkId, _: &'static str) {}
}

/// Which fixtures make a machine allocate, each alone the first message of a machine that is `ready`. `links` are the
/// beginnings of their names with the link they come by, what has none is left out; `count` runs and counts.
pub fn allocating<V: Venue>(
    crate_dir: &str,
    links: &[(&str, LinkId)],
    ready: impl Fn() -> Rig<V>,
    count: fn(&mut dyn FnMut()) -> (u64, u64),
) -> Vec<String> {
    let link_of = |name: &str| links.iter().find(|(start, _)| name.starts_with(start));
    let allocates = |(name, text): &(String, &str)| {
        let Some((_, link)) = link_of(name) else {
            return false;
        };
        let Rig {
            mut venue,
            registry,
            ..
        } = ready();
        let mut bytes = text.as_bytes().to_vec();
        // What is refused may not allocate either.
        let counted = count(&mut || {
            let _ = venue.on_text(&registry, *link, at_ms(1), &mut bytes, &mut Nobody);
        });
        counted != (0, 0)
    };
    let found = fixtures(crate_dir).into_iter().filter(allocates);
    found.map(|(name, _)| name).collect()
}

/// A FIX 4.4 message of these fields, `|` for SOH, the type first.
pub fn fix_bytes(text: &str) -> Vec<u8> {
    let body = text.replace('|', "\u{1}");
    let mut bytes = format!("8=FIX.4.4\u{1}9={}\u{1}{body}", body.len()).into_bytes();
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.extend_from_slice(format!("10={sum:03}\u{1}").as_bytes());
    bytes
}

/// A machine and its registry. Times are milliseconds after [`START_MS`].
pub struct Rig<V> {
    /// The machine.
    pub venue: V,
    /// Its registry.
    pub registry: Registry,
    /// The link answers come by.
    pub rest: LinkId,
}

impl<V: Venue> Rig<V> {
    /// A text message on a link.
    pub fn text(&mut self, link: LinkId, ms: u64, text: &str) -> (Said, Result<(), Fault>) {
        let mut said = Said::default();
        let mut bytes = text.as_bytes().to_vec();
        let result = self
            .venue
            .on_text(&self.registry, link, at_ms(ms), &mut bytes, &mut said);
        (said, result)
    }

    /// A FIX message on a link: its type and fields, `|` for SOH.
    pub fn fix(&mut self, link: LinkId, ms: u64, text: &str) -> (Said, Result<(), Fault>) {
        self.fix_refusing(link, ms, text, &[])
    }

    /// The same, as a refusal of a message of ours that began with these bytes.
    pub fn fix_refusing(
        &mut self,
        link: LinkId,
        ms: u64,
        text: &str,
        refused: &[u8],
    ) -> (Said, Result<(), Fault>) {
        let bytes = fix_bytes(text);
        let Frame::Message(message, _) = frame(&bytes) else {
            panic!("{text}: no message");
        };
        let message = message.refusing(refused);
        let mut said = Said::default();
        let result = self
            .venue
            .on_fix(&self.registry, link, at_ms(ms), &message, &mut said);
        (said, result)
    }

    /// The answer to a request.
    pub fn response(
        &mut self,
        ms: u64,
        tag: RestTag,
        status: u16,
        body: &str,
    ) -> (Said, Result<(), Fault>) {
        self.limited(ms, tag, status, body, None)
    }

    /// The answer to a request, with a `Retry-After` in seconds.
    pub fn limited(
        &mut self,
        ms: u64,
        tag: RestTag,
        status: u16,
        body: &str,
        retry_after_s: Option<u32>,
    ) -> (Said, Result<(), Fault>) {
        let mut said = Said::default();
        let mut body = body.as_bytes().to_vec();
        let response = RestResponse {
            tag,
            status,
            retry_after_s,
            usage: dp_venue_api::Usage::default(),
            body: &mut body,
        };
        let result = self.venue.on_response(
            &mut self.registry,
            self.rest,
            at_ms(ms),
            response,
            &mut said,
        );
        (said, result)
    }

    /// A link's handshake is complete.
    pub fn open(&mut self, link: LinkId, ms: u64) -> Said {
        let mut said = Said::default();
        self.venue
            .on_open(&mut self.registry, link, at_ms(ms), &mut said);
        said
    }

    /// A link is gone.
    pub fn close(&mut self, link: LinkId, ms: u64) -> Said {
        let mut said = Said::default();
        self.venue.on_closed(link, at_ms(ms), &mut said);
        said
    }

    /// Time passes.
    pub fn deadline(&mut self, ms: u64) -> Said {
        let mut said = Said::default();
        self.venue.on_deadline(&self.registry, at_ms(ms), &mut said);
        said
    }
}
