//! The machine's memory: links, login, reconciliation, budgets.
//!
//! ```text
//! rest    up ─▶ exchangeInfo ─▶ InstrumentsReady            (asked again until it comes)
//! md      up ─▶ (streams are in the URL) Subscribed
//! orders  up ─▶ session.logon (Ed25519) ─▶ userDataStream.subscribe ─▶ LoggedIn
//!         up ─▶ userDataStream.subscribe.signature (HMAC)         ─▶ LoggedIn
//! reconcile:  openOrders of each symbol ─▶ myTrades of each ─▶ account ─▶ Reconciled
//! ```

use crate::account;
use crate::auth::Auth;
use crate::entry::{self, Envelope, REQUEST_MAX, Request};
use crate::feed::{self, Levels, of_json};
use crate::limits::{Limits, interval_ns, weight};
use crate::reject::{is_unknown_outcome, reason};
use crate::rest::{self, Kind};
use crate::symbols::client_text;
use crate::{LINK_MD, LINK_ORDERS, LINK_REST};
use dp_types::{
    AmendOrder, CancelOrder, ClientOrderId, InstrumentId, LinkId, NewOrder, Now, OrderReport,
    OrderState, RejectReason, UnixNanos, VenueNanos,
};
use dp_venue_api::{
    Control, DecodeError, EntryError, Event, Fault, LinkKind, LinkSpec, Registry, RestMethod,
    RestRequest, RestResponse, Sink, VenueConfig,
};
use dp_wire::buf::Buf;
use dp_wire::json::{Doc, Value};

/// A connection is cut by the venue at 24 h; ours is replaced before.
const LINK_AGE_NS_MAX: u64 = (23 * 3_600 + 50 * 60) * 1_000_000_000;
/// The venue pings every 20 s and cuts after 60 s without a pong; a stream silent for longer is dead.
const SILENCE_NS_MAX: u64 = 60_000_000_000;
/// Pause before a REST request that failed is sent again.
const RETRY_NS: u64 = 2_000_000_000;
/// Trades asked for at once when reconciling.
const TRADES_LIMIT: u32 = 1_000;

/// How far a reconciliation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Idle,
    /// Answers still missing.
    Running(u32),
}

/// All state of the Binance machine beside its parsers.
#[derive(Debug)]
pub(crate) struct Session {
    symbols: Vec<String>,
    instruments: Vec<InstrumentId>,
    auth: Option<Auth>,
    window_ms: u32,
    links: Vec<LinkSpec>,
    /// When each link came up; 0 = down.
    up_since: [UnixNanos; 3],
    are_instruments_known: bool,
    is_logged_on: bool,
    is_logged_in: bool,
    pub(crate) limits: Limits,
    levels: Levels,
    request: Buf<REQUEST_MAX>,
    progress: Progress,
    /// Highest trade id seen, by place in `instruments`; the next reconciliation asks from there.
    last_trades: Vec<Option<i64>>,
    /// When something that failed is tried again.
    retry_info_at: Option<UnixNanos>,
    retry_reconcile_at: Option<UnixNanos>,
    retry_snapshots: Vec<(UnixNanos, InstrumentId)>,
}

impl Session {
    pub(crate) fn new(
        config: VenueConfig,
        instruments: Vec<InstrumentId>,
        auth: Option<Auth>,
    ) -> Self {
        let streams: Vec<String> = config
            .symbols
            .iter()
            .flat_map(|symbol| {
                let symbol = symbol.to_ascii_lowercase();
                [
                    format!("{symbol}@depth@100ms"),
                    format!("{symbol}@trade"),
                    format!("{symbol}@bookTicker"),
                ]
            })
            .collect();
        let link =
            |id, kind, (host, port): &(String, u16), path: String, name, silence_ns_max| LinkSpec {
                id,
                kind,
                host: host.clone(),
                port: *port,
                path,
                name,
                silence_ns_max,
            };
        let path = format!("/stream?streams={}", streams.join("/"));
        let ws = LinkKind::WebSocket;
        let mut links = vec![
            link(
                LINK_REST,
                LinkKind::Http,
                &config.rest,
                String::new(),
                "rest",
                0,
            ),
            link(LINK_MD, ws, &config.public, path, "md", SILENCE_NS_MAX),
        ];
        if auth.is_some() {
            let path = "/ws-api/v3".to_owned();
            links.push(link(
                LINK_ORDERS,
                ws,
                &config.private,
                path,
                "orders",
                SILENCE_NS_MAX,
            ));
        }
        Self {
            last_trades: vec![None; instruments.len()],
            symbols: config.symbols,
            instruments,
            auth,
            window_ms: config.order_window_ms,
            links,
            up_since: [UnixNanos(0); 3],
            are_instruments_known: false,
            is_logged_on: false,
            is_logged_in: false,
            limits: Limits::default(),
            levels: Levels::default(),
            request: Buf::new(),
            progress: Progress::Idle,
            retry_info_at: None,
            retry_reconcile_at: None,
            retry_snapshots: Vec::new(),
        }
    }

    pub(crate) fn links(&self) -> &[LinkSpec] {
        &self.links
    }

    pub(crate) fn on_open(&mut self, link: LinkId, now: Now, out: &mut impl Sink) {
        if let Some(since) = self.up_since.get_mut(usize::from(link.0)) {
            *since = now.unix;
        }
        match link {
            LINK_REST if !self.are_instruments_known => self.ask_info(now, out),
            LINK_MD => out.event(&Event::Control(Control::Subscribed(link))),
            LINK_ORDERS => self.log_in(now, out),
            _ => {}
        }
    }

    fn log_in(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = &self.auth else { return };
        let envelope = Envelope {
            auth,
            is_logged_on: false,
            window_ms: 0,
            now: now.unix,
        };
        if auth.can_log_on() {
            envelope.log_on(&mut self.request);
        } else {
            envelope.user_stream(&mut self.request);
        }
        if let Ok(text) = self.request.finish() {
            out.send_text(LINK_ORDERS, text);
        }
    }

    pub(crate) fn on_closed(&mut self, link: LinkId) {
        if let Some(since) = self.up_since.get_mut(usize::from(link.0)) {
            *since = UnixNanos(0);
        }
        if link == LINK_ORDERS {
            (self.is_logged_on, self.is_logged_in) = (false, false);
        }
    }

    pub(crate) fn on_text(
        &mut self,
        registry: &Registry,
        link: LinkId,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if link != LINK_ORDERS {
            return Ok(feed::decode(registry, link, root, &mut self.levels, out)?);
        }
        if let Some(event) = root.get("event") {
            return Ok(entry::on_event(registry, link, event, out)?);
        }
        if root.get("status").is_none() {
            return Ok(entry::on_event(registry, link, root, out)?);
        }
        self.correct_limits(now, root);
        let answer = entry::on_answer(registry, root, out)?;
        if matches!(answer.status, 429 | 418) {
            let until = self
                .limits
                .stop(now.unix, answer.status, None, answer.retry_after_ms);
            out.event(&Event::Control(Control::RateLimited {
                until_ms: until.millis(),
            }));
        }
        match (answer.request, answer.reason) {
            (Some(Request::LogOn), RejectReason::None) => {
                self.is_logged_on = true;
                if let Some(auth) = &self.auth {
                    let envelope = Envelope {
                        auth,
                        is_logged_on: true,
                        window_ms: 0,
                        now: now.unix,
                    };
                    envelope.user_stream(&mut self.request);
                    out.send_text(link, self.request.as_bytes());
                }
            }
            (Some(Request::UserStream), RejectReason::None) => {
                self.is_logged_in = true;
                out.event(&Event::Control(Control::LoggedIn(link)));
            }
            (Some(Request::LogOn | Request::UserStream), why) => {
                out.event(&Event::Control(Control::LoginRefused(why)));
                out.reconnect(link, "login refused");
            }
            (None, why @ (RejectReason::Auth | RejectReason::Permission)) => {
                out.event(&Event::Control(Control::LoginRefused(why)));
                out.reconnect(link, "the venue ended the session");
            }
            _ => {}
        }
        Ok(())
    }

    fn correct_limits(&mut self, now: Now, root: Value<'_>) {
        for limit in root
            .get("rateLimits")
            .and_then(|limits| limits.as_array())
            .into_iter()
            .flatten()
        {
            let text = |key| {
                limit
                    .get(key)
                    .and_then(|value| value.as_str())
                    .unwrap_or("")
            };
            let interval = interval_ns(text("interval"), limit.u64("intervalNum").unwrap_or(1));
            let used = u32::try_from(limit.u64("count").unwrap_or(0)).unwrap_or(u32::MAX);
            self.limits
                .correct(now.unix, text("rateLimitType"), interval, used);
        }
    }

    pub(crate) fn on_response(
        &mut self,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let kind = Kind::of_tag(response.tag).ok_or(DecodeError::Shape("answer to nothing"))?;
        if response.status != 200 {
            return self.on_refusal(doc, registry, now, kind, response, out);
        }
        let taken = match doc.parse(response.body) {
            Ok(tree) => self.take_answer(registry, kind, tree.root(), out),
            Err(error) => Err(of_json(error)),
        };
        if let Err(error) = taken {
            self.try_again(now, kind);
            return Err(error.into());
        }
        self.advance(kind, out);
        Ok(())
    }

    fn take_answer(
        &mut self,
        registry: &mut Registry,
        kind: Kind,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        match kind {
            Kind::ExchangeInfo => {
                let taken = rest::on_exchange_info(registry, &mut self.limits, root)?;
                if taken < self.instruments.len() {
                    return Err(DecodeError::UnknownSymbol);
                }
                self.are_instruments_known = true;
                out.event(&Event::Control(Control::InstrumentsReady));
                Ok(())
            }
            Kind::Depth(instrument) => feed::snapshot(instrument, root, &mut self.levels, out),
            Kind::OpenOrders(_) => {
                let orders = root.as_array().ok_or(DecodeError::Shape("open orders"))?;
                for order in orders {
                    account::on_order_body(registry, order, "clientOrderId", out)?;
                }
                Ok(())
            }
            Kind::Trades(instrument) => {
                let trades = root.as_array().ok_or(DecodeError::Shape("trades"))?;
                let place = self.instruments.iter().position(|held| *held == instrument);
                for trade in trades {
                    let id = account::on_trade_body(registry, instrument, trade, out)?;
                    if let Some(last) = place.and_then(|place| self.last_trades.get_mut(place)) {
                        *last = Some(last.map_or(id, |last| last.max(id)));
                    }
                }
                Ok(())
            }
            Kind::Account => {
                account::on_balances(registry, root, "balances", "asset", "free", "locked", out)
            }
            Kind::Order(_) => account::on_order_body(registry, root, "clientOrderId", out),
        }
    }

    /// An answer that is not 200, or none at all.
    fn on_refusal(
        &mut self,
        doc: &mut Doc,
        registry: &Registry,
        now: Now,
        kind: Kind,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let (code, why) = match doc.parse(response.body) {
            Ok(tree) => {
                let code = tree.root().i64("code").unwrap_or(0);
                (code, reason(code, tree.root().str("msg").unwrap_or("")))
            }
            Err(_) => (0, RejectReason::Other),
        };
        if matches!(response.status, 429 | 418) {
            let after = response.retry_after_s;
            let until = self.limits.stop(now.unix, response.status, after, None);
            out.event(&Event::Control(Control::RateLimited {
                until_ms: until.millis(),
            }));
        }
        match kind {
            Kind::Order(client_id) if why == RejectReason::UnknownOrder => {
                // Asked by our id and the venue has no such order: it was never placed.
                let id = ClientOrderId::from_raw(client_id);
                self.report_absent(registry, id, out);
            }
            Kind::Order(_) => {}
            kind => self.try_again(now, kind),
        }
        let why = if is_unknown_outcome(response.status) {
            RejectReason::UnknownOutcome
        } else {
            why
        };
        Err(Fault::Venue {
            code: i32::try_from(code).unwrap_or(i32::MIN),
            reason: why,
        })
    }

    fn report_absent(&self, _registry: &Registry, id: Option<ClientOrderId>, out: &mut impl Sink) {
        let Some(instrument) = self.instruments.first().copied() else {
            return;
        };
        out.event(&Event::Order(OrderReport {
            // The OMS finds the order by our id; which instrument it was of, it knows.
            instrument,
            client_id: id,
            order_id: dp_types::OrderId(0),
            side: None,
            state: OrderState::Rejected,
            reason: RejectReason::UnknownOrder,
            price: None,
            qty: None,
            cum: None,
            venue_ns: VenueNanos(0),
        }));
    }

    fn try_again(&mut self, now: Now, kind: Kind) {
        let at = now.unix.after(RETRY_NS);
        match kind {
            Kind::ExchangeInfo => self.retry_info_at = Some(at),
            Kind::Depth(instrument) => {
                self.retry_snapshots.retain(|(_, held)| *held != instrument);
                self.retry_snapshots.push((at, instrument));
            }
            Kind::OpenOrders(_) | Kind::Trades(_) | Kind::Account => {
                self.progress = Progress::Idle;
                self.retry_reconcile_at = Some(at);
            }
            Kind::Order(_) => {}
        }
    }

    fn advance(&mut self, kind: Kind, out: &mut impl Sink) {
        let is_part = matches!(kind, Kind::OpenOrders(_) | Kind::Trades(_) | Kind::Account);
        if let (true, Progress::Running(missing)) = (is_part, self.progress) {
            let missing = missing.saturating_sub(1);
            self.progress = Progress::Running(missing);
            if missing == 0 {
                self.progress = Progress::Idle;
                out.event(&Event::Control(Control::Reconciled));
            }
        }
    }

    fn get(&self, kind: Kind, target: &str, out: &mut impl Sink) {
        let key = self.auth.as_ref().map_or("", Auth::api_key);
        let headers = [("X-MBX-APIKEY", key)];
        let headers = if key.is_empty() {
            &headers[..0]
        } else {
            &headers[..]
        };
        let method = RestMethod::Get;
        let request = RestRequest {
            tag: kind.tag(),
            method,
            target,
            headers,
            body: &[],
        };
        out.request(LINK_REST, &request);
    }

    fn ask_info(&mut self, now: Now, out: &mut impl Sink) {
        self.retry_info_at = None;
        if self.limits.take(now.unix, weight::EXCHANGE_INFO, false) {
            self.get(Kind::ExchangeInfo, &rest::exchange_info(&self.symbols), out);
        } else {
            self.try_again(now, Kind::ExchangeInfo);
        }
    }

    pub(crate) fn request_snapshot(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) {
        let Some(held) = registry.get(instrument) else {
            return;
        };
        if self.up_since[0].0 == 0 || !self.limits.take(now.unix, weight::DEPTH, false) {
            self.try_again(now, Kind::Depth(instrument));
            return;
        }
        self.get(
            Kind::Depth(instrument),
            &rest::depth(held.symbol.as_str()),
            out,
        );
    }

    pub(crate) fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() || matches!(self.progress, Progress::Running(_)) {
            return;
        }
        self.retry_reconcile_at = None;
        let per_symbol = weight::OPEN_ORDERS + weight::MY_TRADES;
        let count = self.instruments.len() as u32;
        let cost = count
            .saturating_mul(per_symbol)
            .saturating_add(weight::ACCOUNT);
        if !self.limits.take(now.unix, cost, true) {
            self.retry_reconcile_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        out.event(&Event::Control(Control::ReconcileStarted));
        self.progress = Progress::Running(2 * count + 1);
        let symbols: Vec<(usize, InstrumentId, String)> = self
            .instruments
            .iter()
            .enumerate()
            .filter_map(|(at, id)| Some((at, *id, registry.get(*id)?.symbol.as_str().to_owned())))
            .collect();
        for (_, id, symbol) in &symbols {
            self.get_signed(
                Kind::OpenOrders(*id),
                "/api/v3/openOrders",
                &format!("symbol={symbol}"),
                now,
                out,
            );
        }
        for (at, id, symbol) in &symbols {
            let from = self.last_trades.get(*at).copied().flatten();
            let from = from.map_or_else(String::new, |last| format!("&fromId={}", last + 1));
            let query = format!("symbol={symbol}&limit={TRADES_LIMIT}{from}");
            self.get_signed(Kind::Trades(*id), "/api/v3/myTrades", &query, now, out);
        }
        self.get_signed(
            Kind::Account,
            "/api/v3/account",
            "omitZeroBalances=true",
            now,
            out,
        );
    }

    fn get_signed(&self, kind: Kind, path: &str, query: &str, now: Now, out: &mut impl Sink) {
        let Some(auth) = &self.auth else { return };
        self.get(
            kind,
            &rest::signed(auth, path, query, now.unix, self.window_ms),
            out,
        );
    }

    pub(crate) fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        if self.auth.is_none() {
            return Err(EntryError::NotReady);
        }
        if !self.limits.take(now.unix, weight::QUERY, true) {
            return Err(EntryError::RateLimited);
        }
        let id = client_text(order.client_id);
        let query = format!("symbol={}&origClientOrderId={id}", instrument.symbol);
        self.get_signed(
            Kind::Order(order.client_id.0),
            "/api/v3/order",
            &query,
            now,
            out,
        );
        Ok(())
    }

    /// Writes one order-entry request, if the link may carry it.
    pub(crate) fn enter(
        &mut self,
        now: Now,
        out: &mut impl Sink,
        has_budget: impl FnOnce(&mut Limits) -> bool,
        write: impl FnOnce(&Envelope<'_>, &mut Buf<REQUEST_MAX>),
    ) -> Result<(), EntryError> {
        let Some(auth) = self.auth.as_ref().filter(|_| self.is_logged_in) else {
            return Err(EntryError::NotReady);
        };
        if !has_budget(&mut self.limits) {
            return Err(EntryError::RateLimited);
        }
        let envelope = Envelope {
            auth,
            is_logged_on: self.is_logged_on,
            window_ms: self.window_ms,
            now: now.unix,
        };
        write(&envelope, &mut self.request);
        match self.request.finish() {
            Ok(text) => out.send_text(LINK_ORDERS, text),
            // A key so long that a request does not fit cannot trade here.
            Err(_) => return Err(EntryError::Unsupported),
        }
        Ok(())
    }

    pub(crate) fn new_order(
        &mut self,
        registry: &Registry,
        order: &NewOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.enter(
            now,
            out,
            |limits| limits.take_order(now.unix),
            |envelope, text| envelope.new_order(instrument, order, text),
        )
    }

    pub(crate) fn amend_order(
        &mut self,
        registry: &Registry,
        amend: &AmendOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(amend.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        let (None, Some(qty)) = (amend.price, amend.qty) else {
            return Err(EntryError::Unsupported);
        };
        self.enter(
            now,
            out,
            |limits| limits.take(now.unix, weight::AMEND, false),
            |envelope, text| envelope.amend(instrument, amend, qty, text),
        )
    }

    pub(crate) fn cancel_order(
        &mut self,
        registry: &Registry,
        cancel: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(cancel.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.enter(
            now,
            out,
            |limits| limits.take(now.unix, weight::ORDER, true),
            |envelope, text| envelope.cancel(instrument, cancel, text),
        )
    }

    pub(crate) fn cancel_all(
        &mut self,
        registry: &Registry,
        instrument: InstrumentId,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let instrument = registry
            .get(instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        self.enter(
            now,
            out,
            |limits| limits.take(now.unix, weight::ORDER, true),
            |envelope, text| envelope.cancel_all(instrument, text),
        )
    }

    pub(crate) fn on_deadline(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let is_due = |at: Option<UnixNanos>| at.is_some_and(|at| at <= now.unix);
        if is_due(self.retry_info_at) && self.up_since[0].0 > 0 {
            self.ask_info(now, out);
        }
        if is_due(self.retry_reconcile_at) {
            self.reconcile(registry, now, out);
        }
        if let Some(at) = self
            .retry_snapshots
            .iter()
            .position(|(at, _)| *at <= now.unix)
        {
            let (_, instrument) = self.retry_snapshots.swap_remove(at);
            self.request_snapshot(registry, instrument, now, out);
        }
        for link in [LINK_MD, LINK_ORDERS] {
            let since = self
                .up_since
                .get(usize::from(link.0))
                .copied()
                .unwrap_or_default();
            if since.0 > 0 && now.unix.since(since) >= LINK_AGE_NS_MAX {
                out.reconnect(link, "replaced ahead of the venue's 24 h cut");
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixNanos> {
        let ages = self.up_since.iter().skip(1).filter(|since| since.0 > 0);
        ages.map(|since| since.after(LINK_AGE_NS_MAX))
            .chain(self.retry_info_at)
            .chain(self.retry_reconcile_at)
            .chain(self.retry_snapshots.iter().map(|(at, _)| *at))
            .min()
    }
}
