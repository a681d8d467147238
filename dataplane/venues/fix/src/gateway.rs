//! A liquidity provider that speaks nothing but FIX 4.4, such as YoFx: a whole venue machine over two sessions.
//!
//! ```text
//! link 1 md       logged on ─▶ V a symbol ─▶ W, then X → books, trades
//! link 2 orders   logged on ─▶ LoggedIn ─▶ AF (all my orders) ─▶ 8 … the last of them → Reconciled
//!                 D G F H, answered by 8, 9, j
//! ```
//! Everything of it is configured: hosts, names, what is traded and in which steps; numbers begin anew or are kept.
//! Where they are kept, reports that were missed are sent again, fills among them, before anything else counts; where
//! they begin anew, a fill that was missed is seen in what its order has done and no more: the lane then holds trading
//! until a person has looked. There are no balances and no positions: the lane's own are all there is.
//! Source: FIX 4.4; requirement VC-18.

use crate::dialect::{
    Dialect, Fills, Levels, MarketAsk, Name, Sizes, parse_name, push_name, reason_of_103,
};
use crate::logon;
use crate::market::{Market, write_request};
use crate::orders::{Held, Orders};
use crate::write::{Fields, Requests};
use crate::{limits, report};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, Decimal, Instrument, InstrumentId, LinkId, NewOrder,
    Now, OrderId, Qty, RejectReason, Text, TradeId, UnixNanos, VenueId,
};
use dp_venue_api::limits::Bucket;
use dp_venue_api::{
    BatchNew, Capabilities, Control, DecodeError, EntryError, EntryLink, Event, Fault, FixConfig,
    FixInstrument, FixSpec, LinkKind, LinkSpec, Positions, ReadCounts, Registry, RegistryError,
    RestResponse, SingleOrders, Sink, Venue, VenueConfig,
};
use dp_wire::digits::Digits;
use dp_wire::fix::Message;
use dp_wire::ids::{parse_base36, parse_u64};

/// This venue.
pub const ID: VenueId = VenueId::YOFX;
/// Market data.
pub const LINK_MARKET: LinkId = LinkId(1);
/// Orders.
pub const LINK_ORDERS: LinkId = LinkId(2);

/// What a provider offers and we use.
pub const CAPABILITIES: Capabilities = Capabilities {
    entry: EntryLink::Fix,
    amend_price: true,
    amend_qty: true,
    amend_reduce_only: false,
    cancel_all: false,
    batch: false,
    batch_new: BatchNew::None,
    dead_man_switch: false,
    market: true,
    ioc: true,
    fok: true,
    post_only: true,
    validity_window: false,
    book_checksum: false,
    book_depth: 0,
    single_orders: SingleOrders::None,
    positions: Positions::None,
};

/// Seconds.
const HEARTBEAT_S: u32 = 30;
/// Requests a second and at once: [U], each provider has its own.
const RATE: (u64, u32) = (50, 100);
const KEPT: u32 = RATE.1 / 5;
/// How long the list of our orders may take before it is asked for again.
const LIST_NS: u64 = 10_000_000_000;
/// Digits behind the point that are kept beyond tick and lot: books hold finer ones.
const FINER: u8 = 2;
const CLIENT_PREFIX: &[u8] = b"sl";

/// Every level, changes only; bids, offers and trades.
const ASK: MarketAsk = MarketAsk {
    fields: &[(264, "0"), (265, "1")],
    kinds: &[0, 1, 2],
};

fn parse_client_id(text: &[u8]) -> Option<ClientOrderId> {
    ClientOrderId::from_raw(parse_base36(text.strip_prefix(CLIENT_PREFIX)?)?)
}

fn name(id: ClientOrderId, number: u16, out: &mut Name) {
    push_name(CLIENT_PREFIX, id, number, out);
}

/// Marks ids that are no number: a hash of their text stands for them, and never goes back to the venue.
const HASHED: u128 = 1 << 127;

/// A provider's id of an order or a trade: any text.
fn pack(text: &[u8]) -> Option<u128> {
    if let Some(number) = parse_u64(text) {
        return Some(u128::from(number)).filter(|number| *number > 0);
    }
    if text.is_empty() || text == b"NONE" {
        return None;
    }
    let mix = |hash: u128, byte: &u8| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    };
    // FNV-1a, 128 bits.
    let hash = text
        .iter()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, mix);
    Some(hash | HASHED)
}

fn reason(code: i32, _words: &str) -> RejectReason {
    reason_of_103(code)
}

fn dialect() -> Dialect {
    Dialect {
        venue: ID,
        name,
        parse_name: |text| parse_name(text, parse_client_id),
        order_id: |text| pack(text).map(OrderId),
        trade_id: |text| pack(text).map(TradeId),
        trade_tags: &[1003, 880, 17],
        reason,
        post_only: "6",
        new_fields: &[],
        is_strict: true,
        is_swapped: false,
        amend: Some("G"),
        fills: Fills::All,
        sizes: Sizes::Units,
        rate: RATE,
    }
}

/// A list of our orders that was asked for.
#[derive(Debug, Clone, Copy)]
struct List {
    number: u64,
    ask_again: UnixNanos,
}

/// The machine.
#[derive(Debug)]
pub struct Gateway {
    config: VenueConfig,
    links: Vec<LinkSpec>,
    instruments: Vec<InstrumentId>,
    is_told: bool,
    is_market_up: bool,
    is_up: bool,
    connection: u32,
    market: Market,
    orders: Orders,
    requests: Requests,
    fields: Box<Fields>,
    bucket: Bucket,
    /// Number of the last request about an order.
    number: u16,
    /// Requests for market data and lists so far.
    asked: u64,
    list: Option<List>,
    counts: ReadCounts,
}

/// What the configuration says of an instrument, as its rules.
fn rules(known: Instrument, told: &FixInstrument, registry: &mut Registry) -> Option<Instrument> {
    let mut made = Instrument {
        price_decimals: told.tick.decimals().saturating_add(FINER).min(18),
        qty_decimals: told.lot.decimals().saturating_add(FINER).min(18),
        is_live: true,
        base: registry.asset(&told.base).ok()?,
        quote: registry.asset(&told.quote).ok()?,
        qty_max: Qty(0),
        ..known
    };
    made.tick = made.price(told.tick).ok()?;
    made.lot = made.qty(told.lot).ok()?;
    made.qty_min = made.qty(told.qty_min).ok()?.max(made.lot);
    Some(made)
}

impl Gateway {
    /// Builds the machine and registers its symbols with the configured rules. A symbol whose rules are not configured,
    /// or cannot be, is known and not live.
    ///
    /// Errors: [`RegistryError`] when the registry is full or a symbol is too long.
    pub fn new(config: VenueConfig, registry: &mut Registry) -> Result<Self, RegistryError> {
        let fix = config.fix.clone().unwrap_or_default();
        let mut instruments = Vec::new();
        for symbol in &config.symbols {
            let told = fix.instruments.iter().find(|it| it.symbol == *symbol);
            let decimals = |step: fn(&FixInstrument) -> Decimal| {
                let decimals = told.map_or(0, |told| step(told).decimals());
                decimals.saturating_add(FINER).min(18)
            };
            let (price, qty) = (decimals(|it| it.tick), decimals(|it| it.lot));
            instruments.push(registry.register(ID, symbol, price, qty)?);
        }
        let link = |id, (host, port): &(String, u16), name| LinkSpec {
            id,
            kind: LinkKind::Fix,
            host: host.clone(),
            port: *port,
            path: String::new(),
            name,
            silence_ns_max: 0, // the session's heartbeats judge that
            is_held: false,
        };
        let mut links = Vec::new();
        if let Some(market) = &fix.market {
            links.push(link(LINK_MARKET, market, "md"));
        }
        if !config.secrets.api_key.is_empty() {
            links.push(link(LINK_ORDERS, &fix.entry, "orders"));
        }
        Ok(Self {
            config,
            links,
            instruments,
            is_told: false,
            is_market_up: false,
            is_up: false,
            connection: 0,
            market: Market::new(Levels::PLAIN, &[]),
            orders: Orders::default(),
            requests: Requests::new(dialect()),
            fields: Box::default(),
            bucket: limits::of_session(RATE),
            number: 0,
            asked: 0,
            list: None,
            counts: ReadCounts::default(),
        })
    }

    /// The configured rules, told once: there is nobody to ask for them.
    fn tell_rules(&mut self, registry: &mut Registry, out: &mut impl Sink) {
        if core::mem::replace(&mut self.is_told, true) {
            return;
        }
        let fix = self.config.fix.clone().unwrap_or_default();
        for id in &self.instruments {
            let Some(known) = registry.get(*id).copied() else {
                continue;
            };
            let mut told = fix.instruments.iter();
            let told = told.find(|it| it.symbol.as_bytes() == known.symbol.as_bytes());
            let made = told.and_then(|told| rules(known, told, registry));
            registry.update(made.unwrap_or(Instrument {
                is_live: false,
                ..known
            }));
        }
        out.event(&Event::Control(Control::InstrumentsReady));
    }

    /// Asks for the book and the trades of an instrument; each answer begins with the whole book.
    fn subscribe(&mut self, registry: &Registry, id: InstrumentId, out: &mut impl Sink) {
        let Some(known) = registry.get(id) else {
            return;
        };
        self.asked += 1;
        let request = Digits::u64(self.asked);
        let symbol = known.symbol.as_bytes();
        write_request(request.as_bytes(), true, symbol, &ASK, &mut self.fields);
        if let Some(fields) = self.fields.whole() {
            out.send_fix(LINK_MARKET, "V", fields);
        }
    }

    /// Asks for all our orders.
    fn ask_list(&mut self, now: Now, out: &mut impl Sink) {
        self.asked += 1;
        self.list = Some(List {
            number: self.asked,
            ask_again: now.unix.after(LIST_NS),
        });
        // 7: of all orders.
        self.fields.clear().u64(584, self.asked).u64(585, 7);
        if let Some(fields) = self.fields.whole() {
            out.send_fix(LINK_ORDERS, "AF", fields);
        }
    }

    /// Whether a report is the last of the list that was asked for, and whether it names no order.
    fn list_ends(&self, message: &Message<'_>) -> (bool, bool) {
        let is_ours = self.list.is_some() && message.u64(584) == self.list.map(|it| it.number);
        (
            is_ours && message.flag(912),
            is_ours && message.u64(911) == Some(0),
        )
    }

    /// Room for a request, and its number. Errors: [`EntryError`].
    fn admit(&mut self, is_cancel: bool, now: Now) -> Result<u16, EntryError> {
        if !self.is_up {
            return Err(EntryError::NotReady);
        }
        let kept = if is_cancel { 0 } else { KEPT };
        if !self.bucket.take(now.unix, 1, kept) {
            return Err(EntryError::RateLimited);
        }
        if self.number == 0 {
            self.number = (now.unix.millis() / 1_000) as u16;
        }
        self.number = self.number.wrapping_add(1).max(1);
        Ok(self.number)
    }
}

fn known(registry: &Registry, id: InstrumentId) -> Result<&Instrument, EntryError> {
    registry.get(id).ok_or(EntryError::UnknownInstrument)
}

/// A request whose fields do not fit a message.
const TOO_LONG: EntryError = EntryError::Unsupported;

/// The session of one of the links.
fn session(config: &VenueConfig, fix: &FixConfig) -> FixSpec {
    let secrets = &config.secrets;
    let (user, password) = (secrets.api_key.clone(), secrets.passphrase.clone());
    FixSpec {
        version: "FIX.4.4".into(),
        appl_version: None,
        sender: fix.sender.clone(),
        target: fix.target.clone(),
        heartbeat_s: logon::seconds(fix.heartbeat_s, HEARTBEAT_S),
        resets: fix.resets,
        rollover_s: None,
        resends: true,
        clock_skew_s: logon::CLOCK_SKEW_S,
        logon: Box::new(move |_, out| {
            if !user.is_empty() {
                out.text(553, &user);
            }
            if !password.is_empty() {
                out.text(554, &password);
            }
        }),
    }
}

impl Venue for Gateway {
    fn id(&self) -> VenueId {
        ID
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    fn fix_spec(&self, link: LinkId) -> Option<FixSpec> {
        let fix = self.config.fix.as_ref()?;
        let mut spec = session(&self.config, fix);
        if link == LINK_MARKET {
            // Prices of before are of no use: the book is asked for anew.
            spec.resets = true;
            spec.resends = false;
            spec.sender = logon::or_else(&fix.market_sender, &fix.sender);
            spec.target = logon::or_else(&fix.market_target, &fix.target);
        }
        Some(spec)
    }

    fn on_open(&mut self, registry: &mut Registry, link: LinkId, _: Now, out: &mut impl Sink) {
        self.tell_rules(registry, out);
        if link == LINK_MARKET {
            self.is_market_up = true;
            for at in 0..self.instruments.len() {
                if let Some(id) = self.instruments.get(at).copied() {
                    self.subscribe(registry, id, out);
                }
            }
            out.event(&Event::Control(Control::Subscribed(link)));
        } else {
            self.is_up = true;
            self.connection = self.connection.wrapping_add(1);
            self.list = None;
            out.event(&Event::Control(Control::LoggedIn(link)));
        }
    }

    fn on_text(
        &mut self,
        _: &Registry,
        _: LinkId,
        _: Now,
        _: &mut [u8],
        _: &mut impl Sink,
    ) -> Result<(), Fault> {
        Err(DecodeError::Shape("a WebSocket message").into())
    }

    fn on_fix(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        message: &Message<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        self.counts.scanned += 1;
        match message.kind() {
            b"W" | b"X" => {
                let trade_id = self.requests.dialect().trade_id;
                let read = self.market.on_message(ID, registry, message, trade_id, out);
                if read.is_err() {
                    out.reconnect(link, "market data that cannot be read");
                }
                return Ok(read.map(|_| ())?);
            }
            b"Y" => {
                let code = message.u64(281).unwrap_or(0) as i32;
                let reason = RejectReason::BadSymbol;
                return Err(Fault::Venue { code, reason });
            }
            b"B" => {
                out.event(&Event::Ignored("a notice"));
                return Ok(());
            }
            _ => {}
        }
        let (is_last, is_empty) = self.list_ends(message);
        let read = if is_empty {
            out.event(&Event::Ignored("no open order"));
            Ok(true)
        } else {
            let Self {
                requests, orders, ..
            } = self;
            let at = report::At {
                now: now.unix,
                connection: self.connection,
            };
            report::on_message(requests.dialect(), registry, message, (orders, at), out)
        };
        if is_last {
            self.list = None;
            out.event(&Event::Control(Control::Reconciled));
        }
        if read? {
            Ok(())
        } else {
            Err(DecodeError::Shape("a FIX message of a kind we do not know").into())
        }
    }

    fn on_response(
        &mut self,
        _: &mut Registry,
        _: LinkId,
        _: Now,
        _: RestResponse<'_>,
        _: &mut impl Sink,
    ) -> Result<(), Fault> {
        Err(DecodeError::Shape("a REST answer").into())
    }

    fn on_closed(&mut self, link: LinkId, _: Now, _: &mut impl Sink) {
        if link == LINK_MARKET {
            self.is_market_up = false;
        } else {
            self.is_up = false;
            self.list = None;
        }
    }

    /// A list that did not come whole is asked for again, and compared from its start.
    fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.list.is_some_and(|list| list.ask_again <= now.unix) {
            self.reconcile(registry, now, out);
        }
    }

    fn next_deadline(&self) -> Option<UnixNanos> {
        self.list.map(|list| list.ask_again)
    }

    fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        _: Now,
        out: &mut impl Sink,
    ) {
        if self.is_market_up {
            self.subscribe(registry, instrument, out);
        }
    }

    fn reconcile(&mut self, _: &Registry, now: Now, out: &mut impl Sink) {
        if self.is_up {
            out.event(&Event::Control(Control::ReconcileStarted));
            self.ask_list(now, out);
        }
    }

    fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, order.instrument)?;
        self.admit(false, now)?;
        let held = self.orders.get(order.client_id).copied();
        let fields = self
            .requests
            .status(instrument, order, held.as_ref(), Text::EMPTY);
        out.send_fix(LINK_ORDERS, "H", fields.ok_or(TOO_LONG)?);
        Ok(())
    }

    fn new_order(
        &mut self,
        registry: &Registry,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, order.instrument)?;
        self.admit(false, now)?;
        self.orders
            .note(Held::sent(order, now.unix, self.connection));
        let fields = self.requests.new_order(instrument, order, now.unix);
        out.send_fix(LINK_ORDERS, "D", fields.ok_or(TOO_LONG)?);
        Ok(())
    }

    /// Errors: [`EntryError::Unsupported`] when the order is not one of the latest.
    fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, amend.instrument)?;
        let held = self.orders.get(amend.client_id).copied();
        let held = held.ok_or(EntryError::Unsupported)?;
        let number = self.admit(false, now)?;
        let fields = self
            .requests
            .amend(instrument, amend, (number, &held), Text::EMPTY, now.unix);
        out.send_fix(LINK_ORDERS, "G", fields.ok_or(TOO_LONG)?);
        Ok(())
    }

    fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = known(registry, cancel.instrument)?;
        let number = self.admit(true, now)?;
        let held = self.orders.get(cancel.client_id).copied();
        let about = (number, held.as_ref());
        let fields = self
            .requests
            .cancel(instrument, cancel, about, Text::EMPTY, now.unix);
        out.send_fix(LINK_ORDERS, "F", fields.ok_or(TOO_LONG)?);
        Ok(())
    }

    /// One after another. Errors: [`EntryError::RateLimited`] when some of the list had to be left out.
    fn cancel_all(
        &mut self,
        registry: &Registry,
        _: InstrumentId,
        live: &[CancelOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        live.iter()
            .try_for_each(|cancel| self.cancel_order(registry, cancel, now, out))
    }

    fn read_counts(&self) -> ReadCounts {
        self.counts
    }

    fn order_id_text(&self, id: OrderId) -> Text<40> {
        match u64::try_from(id.0) {
            Ok(0) => Text::EMPTY,
            Ok(number) => {
                let digits = Digits::u64(number);
                Text::lossy(core::str::from_utf8(digits.as_bytes()).unwrap_or(""))
            }
            Err(_) => Text::lossy(&format!("#{:x}", id.0 ^ HASHED)),
        }
    }
}
