//! Reconciliation and order queries: what is asked over signed REST.

use super::{ANSWER_WAIT_NS, RETRY_NS, SECOND_NS, Session};
use crate::limits::RestPool;
use crate::rest::{self, Ask, FILLS_PAGE_LEN, ListPage, ORDERS_PAGE_LEN, PAGES_MAX, RUN_MASK};
use crate::symbols::{Category, order_id_text, push_client_id, wire_name};
use dp_types::{CancelOrder, ClientOrderId, InstrumentId, Now, OrderId, UnixNanos};
use dp_venue_api::{
    Control, DecodeError, EntryError, Event, Fault, ListedPositions, Registry, Sink,
};

/// Pause before a list of open orders that is too long is read again.
const START_OVER_NS: u64 = 10 * SECOND_NS;
/// The venue's list of executions spans seven days from where it is told to start: an older start would hide the
/// newest. Without one it gives the last seven.
const FILLS_SPAN_MS: u64 = 6 * 86_400_000;
/// How far before the last known fill the next run begins: lists may lag behind the engine. What is read twice is
/// known by its id.
const FILLS_OVERLAP_MS: u64 = 60_000;
/// Positions on one page.
const POSITIONS_PAGE_LEN: usize = 200;

/// Where reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Orders,
    Fills,
    Positions,
    Balance,
}

/// One run of reconciliation.
#[derive(Debug)]
pub(super) struct Run {
    number: u32,
    step: Step,
    /// What derivatives are listed by, as query parameters; one empty one on spot.
    lists: Vec<String>,
    list: u8,
    page: u32,
    /// Page on from here; empty on the first.
    cursor: String,
    /// Those the positions' pages named: they hold only what is not flat.
    pub(super) positions: ListedPositions,
    /// Time of the newest fill seen in this run; 0 when the pages did not reach back to what was known.
    fill_ms_max: u64,
    /// When to send the step (again).
    pub(super) at: UnixNanos,
}

impl Session {
    pub(crate) fn reconcile(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if self.auth.is_none() {
            return;
        }
        self.begin_run(now.unix);
        out.event(&Event::Control(Control::ReconcileStarted));
        self.ask_step(registry, now, out);
    }

    /// A run from the start, with a number of its own: no answer to another one moves it.
    fn begin_run(&mut self, at: UnixNanos) {
        self.runs = (self.runs.wrapping_add(1) & RUN_MASK).max(1);
        self.run = Some(Run {
            number: self.runs,
            step: Step::Orders,
            lists: Vec::new(),
            list: 0,
            page: 0,
            cursor: String::new(),
            positions: ListedPositions::default(),
            fill_ms_max: 0,
            at,
        });
    }

    /// The one answer that moves the run on. Links are lost with requests queued, and an answer may come twice: it
    /// counts only for the run, the list and the page it was asked for.
    pub(super) fn awaited(&self) -> Option<Ask> {
        let run = self.run.as_ref()?;
        let page = ListPage {
            run: run.number,
            list: run.list,
            page: run.page,
        };
        Some(match run.step {
            Step::Orders => Ask::Orders(page),
            Step::Fills => Ask::Fills(page),
            Step::Positions => Ask::Positions(page),
            Step::Balance => Ask::Balance(run.number),
        })
    }

    /// By what the venue lists orders and positions of this category: nothing on spot, each settlement asset of
    /// ours, and of options each base asset.
    fn lists(&self, registry: &Registry) -> Vec<String> {
        let mut lists = Vec::new();
        for known in self.followed.iter().filter_map(|it| registry.get(it.id)) {
            let (key, asset) = match self.category() {
                Category::Spot => ("", known.quote),
                Category::Linear | Category::Inverse => ("&settleCoin=", known.quote),
                Category::Option => ("&baseCoin=", known.base),
            };
            let list = match key {
                "" => String::new(),
                key => format!("{key}{}", registry.asset_name(asset)),
            };
            if !lists.contains(&list) && !list.ends_with('=') {
                lists.push(list);
            }
        }
        lists
    }

    pub(super) fn ask_step(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let lists = self.lists(registry);
        let category = self.category().as_str();
        let since_ms = self.fill_ms_last.saturating_sub(FILLS_OVERLAP_MS);
        let awaited = self.awaited();
        let (Some(run), Some(auth), Some(ask)) = (&mut self.run, &self.auth, awaited) else {
            return;
        };
        if !self.is_rest_open {
            run.at = now.unix; // the link's opening sends it
            return;
        }
        // Rules tell the settlement assets.
        if !self.are_rules_ready || !self.limits.rest(now.unix, RestPool::Query) {
            run.at = now.unix.after(RETRY_NS);
            return;
        }
        if run.step == Step::Orders && run.list == 0 && run.page == 0 {
            run.lists = lists;
        }
        run.at = now.unix.after(ANSWER_WAIT_NS);
        let list = run
            .lists
            .get(usize::from(run.list))
            .map_or("", String::as_str);
        let mut target = match run.step {
            Step::Orders => format!(
                "/v5/order/realtime?category={category}{list}&openOnly=0&limit={ORDERS_PAGE_LEN}"
            ),
            Step::Fills => {
                let start = if now.unix.millis().saturating_sub(since_ms) < FILLS_SPAN_MS {
                    format!("&startTime={since_ms}")
                } else {
                    String::new()
                };
                format!("/v5/execution/list?category={category}&limit={FILLS_PAGE_LEN}{start}")
            }
            Step::Positions => {
                format!("/v5/position/list?category={category}{list}&limit={POSITIONS_PAGE_LEN}")
            }
            Step::Balance => "/v5/account/wallet-balance?accountType=UNIFIED".to_owned(),
        };
        if !run.cursor.is_empty() {
            target = format!("{target}&cursor={}", run.cursor);
        }
        rest::signed(auth, ask, &target, "", now, out);
    }

    /// The step failed: again in a while.
    pub(super) fn step_failed(&mut self, ask: Ask, now: Now) {
        if self.awaited() == Some(ask)
            && let Some(run) = &mut self.run
        {
            run.at = run.at.min(now.unix.after(RETRY_NS));
        }
    }

    /// The page waited for arrived (its items, the time of its newest fill, where the next begins): the next page,
    /// list or step.
    ///
    /// Errors: more pages than the maximum. Open orders then start over (trading stays blocked: a list we cannot
    /// finish proves nothing); the others go on with what was read, and what was not is not taken for known.
    pub(super) fn turn_page(
        &mut self,
        registry: &Registry,
        (count, latest_ms, cursor): (usize, u64, String),
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let is_spot = self.category() == Category::Spot;
        let had_fills = self.fill_ms_last != 0;
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        run.fill_ms_max = run.fill_ms_max.max(latest_ms);
        run.page += 1;
        let is_last = cursor.is_empty() || count == 0;
        let is_over = !is_last && run.page >= PAGES_MAX;
        let error = match run.step {
            Step::Orders => "open orders",
            Step::Fills => "fills",
            Step::Positions | Step::Balance => "positions",
        };
        if is_over && run.step == Step::Orders {
            self.begin_run(now.unix.after(START_OVER_NS));
            return Err(DecodeError::TooMuch(error).into());
        }
        if is_over && run.step == Step::Fills && had_fills {
            run.fill_ms_max = 0; // fills in between were not read: the next run tries again
        }
        run.cursor = cursor;
        if is_last || is_over {
            (run.page, run.cursor) = (0, String::new());
            let has_list = usize::from(run.list) + 1 < run.lists.len();
            // Of a list that is cut, what it left out is not known to be flat.
            if run.step == Step::Positions && !has_list && !is_over {
                run.positions
                    .tell_flat(registry, crate::ID, |known| !known.is_spot, out);
            }
            (run.step, run.list) = match run.step {
                Step::Orders | Step::Positions if has_list => (run.step, run.list + 1),
                Step::Orders => (Step::Fills, 0),
                Step::Fills if !is_spot => (Step::Positions, 0),
                Step::Fills | Step::Positions | Step::Balance => (Step::Balance, 0),
            };
        }
        self.ask_step(registry, now, out);
        if is_over {
            return Err(DecodeError::TooMuch(error).into());
        }
        Ok(())
    }

    /// The balances went out: the run is complete, and only now is what it saw of fills known for good.
    pub(super) fn on_balance(&mut self, out: &mut impl Sink) {
        if let Some(run) = self.run.take() {
            self.fill_ms_last = self.fill_ms_last.max(run.fill_ms_max);
            out.event(&Event::Control(Control::Reconciled));
        }
    }

    pub(crate) fn query_order(
        &mut self,
        registry: &Registry,
        order: &CancelOrder,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        registry
            .get(order.instrument)
            .ok_or(EntryError::UnknownInstrument)?;
        if self.auth.is_none() || !self.is_rest_open {
            return Err(EntryError::NotReady);
        }
        let ask = Ask::Order(order.instrument, order.client_id);
        let past = Ask::PastOrder(order.instrument, order.client_id);
        let is_asked = |ask: Ask| self.in_flight.contains(ask.tag(), now.unix);
        if is_asked(ask) || is_asked(past) {
            return Ok(()); // its answer is on the way
        }
        if self.ask_order(registry, ask, now, out) {
            Ok(())
        } else {
            Err(EntryError::RateLimited)
        }
    }

    /// The open and recent orders do not have it: what ended longer ago is asked.
    pub(super) fn ask_past_order(
        &mut self,
        registry: &Registry,
        (instrument, client): (InstrumentId, ClientOrderId),
        now: Now,
        out: &mut impl Sink,
    ) {
        // Where that cannot be asked now, the engine asks about the order again.
        self.ask_order(registry, Ask::PastOrder(instrument, client), now, out);
    }

    /// Asks about one order by our id. `false` when nothing was sent.
    fn ask_order(&mut self, registry: &Registry, ask: Ask, now: Now, out: &mut impl Sink) -> bool {
        let (path, instrument, client) = match ask {
            Ask::Order(id, client) => ("realtime", id, client),
            Ask::PastOrder(id, client) => ("history", id, client),
            _ => return false,
        };
        let Some(known) = registry.get(instrument) else {
            return false;
        };
        let mut name = Vec::new();
        push_client_id(client, &mut name);
        let target = format!(
            "/v5/order/{path}?category={}&symbol={}&orderLinkId={}",
            self.category().as_str(),
            wire_name(known.symbol.as_str()),
            String::from_utf8_lossy(&name)
        );
        self.ask_once(ask, &target, now, out)
    }

    /// Asks for a page (its number, and where it begins) of the fills of one order. Nothing is remembered of it but
    /// that it is on its way: whoever misses a fill asks about the order again, and each answer asks here anew.
    pub(super) fn ask_order_fills(
        &mut self,
        registry: &Registry,
        (instrument, client, order): (InstrumentId, ClientOrderId, OrderId),
        (page, cursor): (u8, &str),
        now: Now,
        out: &mut impl Sink,
    ) {
        let Some(known) = registry.get(instrument).filter(|_| order.0 != 0) else {
            return;
        };
        let mut target = format!(
            "/v5/execution/list?category={}&symbol={}&orderId={}&limit={FILLS_PAGE_LEN}",
            self.category().as_str(),
            wire_name(known.symbol.as_str()),
            order_id_text(order)
        );
        if !cursor.is_empty() {
            target = format!("{target}&cursor={cursor}");
        }
        self.ask_once(Ask::OrderFills(instrument, client, page), &target, now, out);
    }

    /// Sends a question about one order, unless it is on its way or too many are. `false` when nothing was sent.
    fn ask_once(&mut self, ask: Ask, target: &str, now: Now, out: &mut impl Sink) -> bool {
        let Some(auth) = &self.auth else {
            return false;
        };
        let may = self.is_rest_open
            && !self.in_flight.contains(ask.tag(), now.unix)
            && self.in_flight.has_room(now.unix)
            && self.limits.rest(now.unix, RestPool::Query);
        if may {
            self.in_flight.add(ask.tag(), now.unix);
            rest::signed(auth, ask, target, "", now, out);
        }
        may
    }
}
