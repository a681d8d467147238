//! Links and their upkeep: flags, login, subscriptions, pings, books, reconciliation.
//!
//! ```text
//! md       open ─▶ conf flags ─(rules known)─▶ subscribe book, trades, raw book ─acks─▶ Subscribed
//! orders   open ─▶ auth with the dead man's switch ─ack─▶ LoggedIn ─▶ orders; orders, positions, wallets follow
//! reconcile   open orders ─▶ fills of each instrument since the last known ─▶ wallets ─▶ positions ─▶ Reconciled
//! ```
//! A connection takes 25 channels. An instrument has two, and a third where its single orders are asked for: what one
//! link has no room for has the next.
//! Whatever cannot be done now (link down, window full, answer lost) is tried again at a deadline; nothing here
//! waits, and nothing here sends an order twice.
//!
//! The dead man's switch is a word of the login: when that socket is closed, the venue cancels all our orders.
//! It is bound to the socket and to no timer, so a connection that is half open delays it: it is pinged.

mod answers;
mod books;
mod receive;
mod reconcile;
mod rules;

use crate::auth::{Auth, LOGIN_MAX, Nonces};
use crate::entry::{BATCH_MAX, NEW_BYTES};
use crate::feed::{ChannelKind, FLAGS, Room, Shows, Trades};
use crate::limits::{Limits, OrderOp};
use crate::sent::Sent;
use crate::symbols::{is_derivative, push_u64};
use crate::{LINK_MARKET, LINK_PRIVATE, LINK_REST};
use dp_types::limit::ASSETS_MAX;
use dp_types::{AssetId, InstrumentId, LinkId, Now, RejectReason, UnixNanos};
use dp_venue_api::{
    Control, EntryError, Event, InFlight, LinkKind, LinkSpec, Patience, Registry, Sink,
    VenueConfig, WsLink,
};
use dp_wire::buf::Buf;
use reconcile::Run;
use rules::List;

const SECOND_NS: u64 = 1_000_000_000;
/// The server says something on every channel within 15 s; twice that is dead.
const SILENCE_NS_MAX: u64 = 30 * SECOND_NS;
/// When we ping, and how long the answer may take.
const PATIENCE: Patience = Patience {
    ping_after_ns: 20 * SECOND_NS,
    pong_wait_ns: 8 * SECOND_NS,
};
const _: () = assert!(PATIENCE.ping_after_ns + PATIENCE.pong_wait_ns < SILENCE_NS_MAX);
const PING: &[u8] = br#"{"event":"ping","cid":1}"#;
/// How long login, flags and subscriptions may take together.
const READY_WAIT_NS: u64 = 10 * SECOND_NS;
/// Pause before a failed REST request is tried again.
const RETRY_NS: u64 = SECOND_NS;
/// How long a REST answer may take before it counts as lost.
const ANSWER_WAIT_NS: u64 = 45 * SECOND_NS;
/// Pause between two questions about wallets; the venue is said to take 8 a second [U].
const CALC_PAUSE_NS: u64 = SECOND_NS;

/// Channels of one connection.
const CHANNELS_PER_LINK: usize = 25;
/// Book and trades.
const CHANNELS_PER_SYMBOL: usize = 2;
/// Channels of a connection we keep account of; more than the venue gives is no venue.
const CHANNELS_MAX: usize = 64;
/// Room for the largest message written: 75 new orders.
const MESSAGE_BYTES: usize = BATCH_MAX * NEW_BYTES + 256;
/// The path of every socket.
const PATH: &str = "/ws/2";

/// A link made now, to be ready in time.
fn opened(now: Now) -> WsLink {
    WsLink::opened(now, Some(now.unix.after(READY_WAIT_NS)))
}

/// One channel of a connection; its number means nothing on another.
#[derive(Debug, Clone, Copy)]
struct Channel {
    id: u64,
    kind: ChannelKind,
}

/// One market data link and what it carries.
#[derive(Debug)]
struct Market {
    link: LinkId,
    ws: WsLink,
    symbols: Vec<InstrumentId>,
    channels: Vec<Channel>,
    /// What the venue confirmed.
    flags: u64,
    /// The number of the last frame.
    seq: Option<i64>,
}

impl Market {
    fn new(link: LinkId) -> Self {
        Self {
            link,
            ws: WsLink::default(),
            symbols: Vec::new(),
            channels: Vec::with_capacity(CHANNELS_MAX),
            flags: 0,
            seq: None,
        }
    }

    fn reset(&mut self, ws: WsLink) {
        self.ws = ws;
        self.channels.clear();
        self.flags = 0;
        self.seq = None;
    }
}

/// One channel of a followed instrument's book, as far as the session goes.
#[derive(Debug, Clone, Copy, Default)]
struct BookState {
    is_followed: bool,
    /// Its channel; none while the venue has not confirmed one.
    channel: Option<u64>,
    /// When it is to be subscribed anew.
    renew_at: Option<UnixNanos>,
    /// Until when the new channel must be there.
    renewed_by: Option<UnixNanos>,
    /// When it was last subscribed anew.
    renewed: UnixNanos,
    attempts: u32,
}

/// One followed instrument.
#[derive(Debug, Clone, Copy, Default)]
struct Followed {
    levels: BookState,
    orders: BookState,
    /// The highest trade told.
    trade_last: Option<u64>,
}

impl Followed {
    const fn book(&mut self, shows: Shows) -> &mut BookState {
        match shows {
            Shows::Levels => &mut self.levels,
            Shows::Orders => &mut self.orders,
        }
    }

    /// Channels it takes of a connection.
    const fn channels(&self) -> usize {
        CHANNELS_PER_SYMBOL + self.orders.is_followed as usize
    }
}

/// Everything but the JSON parsers.
#[derive(Debug)]
pub(crate) struct Session {
    links: Vec<LinkSpec>,
    auth: Option<Auth>,
    nonces: Nonces,
    symbols: Vec<InstrumentId>,
    has_derivatives: bool,
    followed: Vec<Followed>,
    room: Room,
    trades: Trades,
    pub(crate) limits: Limits,
    sent: Sent,
    message: Vec<u8>,
    is_rest_open: bool,
    markets: Vec<Market>,
    private: WsLink,
    /// The venue is in maintenance: nothing new is sent.
    is_paused: bool,
    lists: Vec<List>,
    listed: Vec<bool>,
    are_rules_ready: bool,
    run: Option<Run>,
    runs: u32,
    /// Questions about single orders on their way.
    in_flight: InFlight,
    /// Fills up to this time, less an overlap, are known. Moved only at the end of a completed run.
    fills_known_ms: u64,
    /// Assets whose free part the venue must be asked to compute.
    wallets_wanted: Vec<AssetId>,
    wallets_at: Option<UnixNanos>,
    wallets_asked: UnixNanos,
}

/// Links with the instruments each has room for, in order; the first is always there.
fn markets(instruments: &[InstrumentId], followed: &[Followed]) -> Vec<Market> {
    let mut markets = vec![Market::new(LINK_MARKET)];
    let mut taken = 0;
    for id in instruments {
        let channels = followed.get(id.0 as usize).map_or(0, Followed::channels);
        if taken + channels > CHANNELS_PER_LINK {
            let link = LINK_PRIVATE.0.saturating_add(markets.len() as u8);
            markets.push(Market::new(LinkId(link)));
            taken = 0;
        }
        taken += channels;
        if let Some(market) = markets.last_mut() {
            market.symbols.push(*id);
        }
    }
    markets
}

fn min_of(deadlines: impl IntoIterator<Item = Option<UnixNanos>>) -> Option<UnixNanos> {
    deadlines.into_iter().flatten().min()
}

impl Session {
    pub(crate) fn new(config: VenueConfig, instruments: &[InstrumentId]) -> Self {
        let auth = Auth::new(&config.secrets);
        let web_socket = |id, (host, port): (String, u16), name| LinkSpec {
            id,
            kind: LinkKind::WebSocket,
            host,
            port,
            path: PATH.to_owned(),
            name,
            silence_ns_max: SILENCE_NS_MAX,
            is_held: false,
        };
        let (host, port) = config.rest;
        let mut links = vec![LinkSpec {
            id: LINK_REST,
            kind: LinkKind::Http,
            host,
            port,
            path: String::new(),
            name: "rest",
            silence_ns_max: 0,
            is_held: false,
        }];
        let size = instruments.iter().map(|id| id.0 as usize + 1).max();
        let mut followed = vec![Followed::default(); size.unwrap_or(0)];
        for (id, symbol) in instruments.iter().zip(&config.symbols) {
            if let Some(one) = followed.get_mut(id.0 as usize) {
                one.levels.is_followed = true;
                one.orders.is_followed = config.l3_symbols.contains(symbol);
            }
        }
        let markets = markets(instruments, &followed);
        for market in &markets {
            links.push(web_socket(market.link, config.public.clone(), "md"));
        }
        if auth.is_some() {
            links.push(web_socket(LINK_PRIVATE, config.private, "orders"));
        }
        links.sort_by_key(|link| link.id);
        let has_derivatives = config.symbols.iter().any(|symbol| is_derivative(symbol));
        Self {
            links,
            auth,
            nonces: Nonces::new(config.nonce_slot),
            symbols: instruments.to_vec(),
            has_derivatives,
            listed: vec![false; followed.len()],
            followed,
            room: Room::default(),
            trades: Trades::default(),
            limits: Limits::new(config.budget),
            sent: Sent::new(),
            message: Vec::with_capacity(MESSAGE_BYTES),
            is_rest_open: false,
            markets,
            private: WsLink::default(),
            is_paused: false,
            lists: rules::lists(&config.symbols),
            are_rules_ready: false,
            run: None,
            runs: 0,
            in_flight: InFlight::new(ANSWER_WAIT_NS),
            fills_known_ms: 0,
            wallets_wanted: Vec::with_capacity(ASSETS_MAX),
            wallets_at: None,
            wallets_asked: UnixNanos(0),
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    pub(crate) fn sent(&mut self) -> &mut Sent {
        &mut self.sent
    }

    /// The market data of a link; that of the first one for links that carry none, which only tools feed.
    fn market(&mut self, link: LinkId) -> Option<&mut Market> {
        let at = self.markets.iter().position(|market| market.link == link);
        self.markets.get_mut(at.unwrap_or(0))
    }

    /// Something arrived on a WebSocket link.
    pub(crate) fn heard(&mut self, link: LinkId, now: Now) {
        let ws = match link {
            LINK_REST => return,
            LINK_PRIVATE => &mut self.private,
            link => match self.market(link) {
                Some(market) => &mut market.ws,
                None => return,
            },
        };
        ws.heard(now);
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
                self.run_due(registry, now, out);
            }
            LINK_PRIVATE => self.log_in(now, out),
            link => {
                let Some(at) = self.markets.iter().position(|market| market.link == link) else {
                    return;
                };
                self.forget_channels(at);
                if let Some(market) = self.markets.get_mut(at) {
                    market.reset(opened(now));
                }
                self.message.clear();
                self.message
                    .extend_from_slice(br#"{"event":"conf","flags":"#);
                push_u64(FLAGS, &mut self.message);
                self.message.push(b'}');
                out.send_text(link, &self.message);
                self.subscribe(registry, at, now, out);
            }
        }
    }

    fn log_in(&mut self, now: Now, out: &mut impl Sink) {
        self.private = opened(now);
        let nonce = self.nonces.next(now);
        let mut login = Buf::<LOGIN_MAX>::new();
        let written = self
            .auth
            .as_ref()
            .is_some_and(|auth| auth.write_login(nonce, &mut login).is_ok());
        if written {
            out.send_text(LINK_PRIVATE, login.as_bytes());
        } else {
            self.private.ready_by = None;
            out.event(&Event::Control(Control::LoginRefused(RejectReason::Auth)));
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        match link {
            LINK_REST => {
                self.is_rest_open = false;
                self.in_flight.clear();
                if let Some(run) = &mut self.run {
                    run.at = now.unix;
                }
                for list in &mut self.lists {
                    list.due = list.due.map(|_| now.unix);
                }
            }
            LINK_PRIVATE => {
                self.private = WsLink::default();
                self.sent.forget_batches();
                self.wallets_wanted.clear();
                self.wallets_at = None;
            }
            link => {
                if let Some(at) = self.markets.iter().position(|market| market.link == link) {
                    if link != LINK_MARKET {
                        // Of the first link the lane itself forgets the books.
                        self.lose_books(at, out);
                    }
                    self.lose_orders(at, out);
                    self.forget_channels(at);
                    if let Some(market) = self.markets.get_mut(at) {
                        market.reset(WsLink::default());
                    }
                }
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let markets = self
            .markets
            .iter()
            .map(|market| market.ws.deadline(PATIENCE));
        let sockets = min_of([
            min_of(markets),
            self.private.deadline(PATIENCE),
            self.books_due(),
            self.wallets_at.filter(|_| self.private.is_ready),
        ]);
        if !self.is_rest_open {
            return sockets; // the rest waits for the link
        }
        min_of([sockets, self.lists_due(), self.run.map(|run| run.at)])
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for market in &mut self.markets {
            let link = (market.link, PING);
            market.ws.on_deadline(PATIENCE, link, now, out);
        }
        let link = (LINK_PRIVATE, PING);
        self.private.on_deadline(PATIENCE, link, now, out);
        self.renew_due(now, out);
        if self.wallets_at.is_some_and(|at| at <= now.unix) && self.private.is_ready {
            self.ask_wallets(registry, now, out);
        }
        self.run_due(registry, now, out);
    }

    /// Sends every REST request that is due.
    fn run_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if !self.is_rest_open {
            return;
        }
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.lists_due()) {
            self.ask_lists(registry, now, out);
        }
        if is_due(self.run.map(|run| run.at)) {
            self.ask_step(registry, now, out);
        }
    }

    /// The venue computes what is free of an asset only when asked.
    fn want_wallet(&mut self, asset: AssetId, now: Now) {
        if !self.wallets_wanted.contains(&asset) && self.wallets_wanted.len() < ASSETS_MAX {
            self.wallets_wanted.push(asset);
        }
        let at = self.wallets_asked.after(CALC_PAUSE_NS).max(now.unix);
        self.wallets_at.get_or_insert(at);
    }

    fn ask_wallets(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        self.wallets_at = None;
        self.wallets_asked = now.unix;
        self.message.clear();
        self.message.extend_from_slice(br#"[0,"calc",null,["#);
        for (index, asset) in self.wallets_wanted.drain(..).enumerate() {
            let name = registry.asset_name(asset);
            let wallet = if crate::symbols::is_collateral(name) {
                "margin"
            } else {
                "exchange"
            };
            let comma = if index == 0 { "" } else { "," };
            for part in [comma, r#"["wallet_"#, wallet, "_", name, r#""]"#] {
                self.message.extend_from_slice(part.as_bytes());
            }
        }
        self.message.extend_from_slice(b"]]");
        out.send_text(LINK_PRIVATE, &self.message);
    }

    /// Orders one cancel may name.
    pub(crate) const fn batch_max(&self) -> usize {
        self.limits.batch_max()
    }

    /// Orders one request may enter.
    pub(crate) const fn news_max(&self) -> usize {
        self.limits.news_max()
    }

    /// Checks link and limits, then writes and sends. Nothing leaves when it errs, or when `write` says that
    /// there is nothing to send.
    pub(crate) fn send_order(
        &mut self,
        op: OrderOp,
        count: u32,
        now: Now,
        out: &mut impl Sink,
        write: impl FnOnce(&mut Sent, &mut Vec<u8>) -> bool,
    ) -> Result<(), EntryError> {
        if !self.private.is_ready || (self.is_paused && op != OrderOp::Cancel) {
            return Err(EntryError::NotReady);
        }
        if !self.limits.order(now.unix, op, count) {
            return Err(EntryError::RateLimited);
        }
        self.message.clear();
        if write(&mut self.sent, &mut self.message) {
            out.send_text(LINK_PRIVATE, &self.message);
        }
        Ok(())
    }
}
