//! Links and their upkeep: instruments first, then the stream, and prices that are asked for.
//!
//! ```text
//! rest   open ─▶ GET instruments ─▶ InstrumentsReady
//! md     open ─(instruments known)─▶ GET pricing/stream ─200─▶ Subscribed ─▶ lines
//!                      ▲                  │ refused: asked again after a pause, on the same connection
//!                      └──────────────────┘
//! ```
//! A stream that is silent for three heartbeats is dead; the lane judges that. Whatever cannot be done now is tried
//! again at a deadline; nothing here waits.

use crate::auth::Auth;
use crate::feed::{Feed, Source, at, of_json};
use crate::limits::Limits;
use crate::rest::{self, Ask};
use crate::{LINK_REST, LINK_STREAM, reject};
use dp_types::{Instrument, InstrumentId, LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{
    Control, DecodeError, Event, Fault, LinkKind, LinkSpec, Registry, RestResponse, Sink,
    VenueConfig,
};
use dp_wire::json::{Doc, Value};

const SECOND_NS: u64 = 1_000_000_000;
/// Heartbeats come every 5 s: three missed in a row are no accident.
const SILENCE_NS_MAX: u64 = 16 * SECOND_NS;
/// Pause before a failed request is tried again, and the least time between two questions for prices.
const RETRY_NS: u64 = SECOND_NS;
/// Pause after the token was refused: it is good again once somebody has mended the account.
const REFUSED_NS: u64 = 10 * SECOND_NS;
/// How long an answer may take before it counts as lost. The link tells that sooner.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;

/// Where the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// Its link is not open.
    Closed,
    /// To be asked for, at this time.
    Due(UnixNanos),
    /// Asked for; the link tells what becomes of it.
    Asked,
    /// Lines come.
    On,
}

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    symbols: Vec<InstrumentId>,
    feed: Feed,
    limits: Limits,
    is_rest_open: bool,
    stream: Stream,
    /// When the instruments are asked for (again); `None` once they are here.
    rules_due: Option<UnixNanos>,
    /// Instruments whose price is wanted, by place among the symbols.
    wanted: Vec<bool>,
    /// When prices are asked for; `None` while none is wanted.
    prices_due: Option<UnixNanos>,
    prices_asked: UnixNanos,
}

/// A line that cannot be read ends the stream: an old price must not stand where a new one was told.
pub(crate) fn or_anew(
    read: Result<(), DecodeError>,
    out: &mut impl Sink,
) -> Result<(), DecodeError> {
    if read.is_err_and(|error| error != DecodeError::UnknownSymbol) {
        out.reconnect(LINK_STREAM, "a price that cannot be read");
    }
    read
}

impl Session {
    pub(crate) fn new(config: &VenueConfig, instruments: &[InstrumentId]) -> Self {
        let link = |id, (host, port): &(String, u16)| LinkSpec {
            id,
            kind: LinkKind::Http,
            host: host.clone(),
            port: *port,
            path: String::new(),
            name: "rest",
            silence_ns_max: 0,
            is_held: false,
        };
        let stream = LinkSpec {
            kind: LinkKind::HttpLines,
            name: "md",
            silence_ns_max: SILENCE_NS_MAX,
            ..link(LINK_STREAM, &config.public)
        };
        Self {
            links: vec![link(LINK_REST, &config.rest), stream],
            auth: Auth::new(&config.secrets).ok(),
            symbols: instruments.to_vec(),
            feed: Feed::new(instruments),
            limits: Limits::default(),
            is_rest_open: false,
            stream: Stream::Closed,
            rules_due: Some(UnixNanos(0)),
            wanted: vec![false; instruments.len()],
            prices_due: None,
            prices_asked: UnixNanos(0),
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    pub(crate) fn on_open(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        out: &mut impl Sink,
    ) {
        match link {
            LINK_REST => {
                self.is_rest_open = true;
                if self.auth.is_none() {
                    out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
                }
            }
            LINK_STREAM => self.stream = Stream::Due(now.unix),
            _ => {}
        }
        self.run_due(registry, now, out);
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.rules_due = self.rules_due.map(|_| now.unix);
                self.prices_due = self.prices_due.map(|_| now.unix);
            }
            LINK_STREAM => {
                self.stream = Stream::Closed;
                // The next one begins with every price.
                self.wanted.fill(false);
                self.prices_due = None;
            }
            _ => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        self.auth.as_ref()?;
        let by_rest = [self.rules_due, self.prices_due].into_iter().flatten();
        let by_rest = by_rest.filter(|_| self.is_rest_open);
        let stream = match self.stream {
            Stream::Due(at) if self.rules_due.is_none() => Some(at),
            _ => None,
        };
        by_rest.chain(stream).min()
    }

    /// Sends every request that is due.
    pub(crate) fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let Self {
            auth: Some(auth),
            limits,
            ..
        } = self
        else {
            return;
        };
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if self.is_rest_open && is_due(self.rules_due) {
            let may = limits.take(now.unix);
            let wait_ns = if may { ANSWER_WAIT_NS } else { RETRY_NS };
            self.rules_due = Some(now.unix.after(wait_ns));
            if may {
                let ask = (LINK_REST, Ask::Instruments);
                rest::get(auth, ask, core::iter::empty(), out);
            }
        }
        let listed = |id: &InstrumentId| registry.get(*id).filter(|known| known.tick.0 > 0);
        if let Stream::Due(at) = self.stream
            && at <= now.unix
            && self.rules_due.is_none()
        {
            let mut symbols = self.symbols.iter().filter_map(listed).peekable();
            if symbols.peek().is_none() || !limits.take(now.unix) {
                self.stream = Stream::Due(now.unix.after(RETRY_NS));
            } else {
                self.stream = Stream::Asked;
                let symbols = symbols.map(|known| known.symbol.as_str());
                rest::get(auth, (LINK_STREAM, Ask::Stream), symbols, out);
            }
        }
        if self.is_rest_open && is_due(self.prices_due) {
            let may = limits.take(now.unix);
            let wait_ns = if may { ANSWER_WAIT_NS } else { RETRY_NS };
            self.prices_due = Some(now.unix.after(wait_ns));
            if may {
                self.prices_asked = now.unix;
                let symbols = self.symbols.iter().zip(&self.wanted);
                let wanted = symbols.filter(|(_, is_wanted)| **is_wanted);
                let wanted = wanted.filter_map(|(id, _)| listed(id));
                let wanted = wanted.map(|known| known.symbol.as_str());
                rest::get(auth, (LINK_REST, Ask::Prices), wanted, out);
            }
        }
    }

    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let at = self.symbols.iter().position(|id| *id == instrument);
        let slot = at.and_then(|at| self.wanted.get_mut(at));
        let is_listed = registry.get(instrument).is_some_and(|it| it.tick.0 > 0);
        if let Some(slot) = slot
            && self.stream == Stream::On
            && is_listed
        {
            *slot = true;
            let soonest = self.prices_asked.after(RETRY_NS).max(now.unix);
            self.prices_due = Some(self.prices_due.map_or(soonest, |due| due.min(soonest)));
            self.run_due(registry, now, out);
        }
    }

    /// One line of the stream. Errors: [`DecodeError`].
    pub(crate) fn on_line(
        &mut self,
        registry: &Registry,
        line: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        self.feed.on_line(registry, line, out)
    }

    /// One answer. Errors: the venue's refusal, or an answer that cannot be read.
    pub(crate) fn on_response(
        &mut self,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let Some(ask) = Ask::of(response.tag) else {
            out.event(&Event::Ignored("an answer we did not ask for"));
            return Ok(());
        };
        if !(200..300).contains(&response.status) {
            return self.on_refused(ask, now, (response.status, response.retry_after_s), out);
        }
        match ask {
            Ask::Stream => {
                if self.stream == Stream::Asked {
                    self.stream = Stream::On;
                    self.feed.restart();
                }
                out.event(&Event::Control(Control::Subscribed(LINK_STREAM)));
                Ok(())
            }
            Ask::Instruments => {
                let tree = doc.parse_exact(response.body).map_err(of_json);
                let read = tree.and_then(|tree| rest::instruments(registry, tree.root()));
                if read.is_err() {
                    self.again(ask, now.unix.after(REFUSED_NS));
                }
                read?;
                self.on_rules(registry, now, out)
            }
            Ask::Prices => {
                self.wanted.fill(false);
                self.prices_due = None;
                let tree = doc.parse_exact(response.body).map_err(of_json)?;
                for price in tree.root().array("prices").map_err(at("prices"))? {
                    self.feed.on_price(registry, price, Source::Asked, out)?;
                }
                Ok(())
            }
        }
    }

    /// The instruments are known: those that were not listed are not live.
    fn on_rules(
        &mut self,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if self.rules_due.take().is_none() {
            return Ok(()); // a recorded list, or one that came twice
        }
        let mut unlisted = None;
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && known.tick.0 == 0
            {
                unlisted = unlisted.or(Some(id));
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        self.run_due(registry, now, out);
        match unlisted {
            Some(id) => Err(DecodeError::Unlisted(id).into()),
            None => Ok(()),
        }
    }

    /// An answer that is a refusal, or none at all (status 0): asked again after a pause.
    fn on_refused(
        &mut self,
        ask: Ask,
        now: Now,
        (status, retry_after_s): (u16, Option<u32>),
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let reason = reject::reason(status);
        let next = match reason {
            RejectReason::RateLimit => {
                let until = self.limits.stop(now.unix, retry_after_s);
                out.event(&Event::Control(Control::RateLimited {
                    until_ms: until.millis(),
                }));
                until
            }
            RejectReason::VenueDown => now.unix.after(RETRY_NS),
            reason => {
                if reason == RejectReason::Auth {
                    out.event(&Event::Control(Control::LoginRefused(reason)));
                }
                now.unix.after(REFUSED_NS)
            }
        };
        self.again(ask, next);
        let code = i32::from(status);
        Err(Fault::Venue { code, reason })
    }

    /// Asks again at `next` what still has to be known.
    fn again(&mut self, ask: Ask, next: UnixNanos) {
        match ask {
            Ask::Instruments => self.rules_due = self.rules_due.map(|_| next),
            Ask::Prices => self.prices_due = self.prices_due.map(|_| next),
            Ask::Stream if self.stream == Stream::Asked => self.stream = Stream::Due(next),
            Ask::Stream => {}
        }
    }
}
