//! Order operations, one place for both interfaces: what is asked, the hold before the engine, what came of it.
//!
//! ```text
//!  request ─▶ Call of Items ── cancels, post-only ──────────────▶ engine ─▶ answer, private events
//!                   └── whatever could take: held 20 ms ──release──┘
//! ```
//! A held order takes its place at release. Cancelling one while it is held makes it immediate-or-cancel.

use super::reply::{Refused, Why};
use super::{KrakenFutures, entry};
use crate::core::{ReplyTo, Response};
use crate::engine::{AccountId, Cause, NewOrder, Order, PostOnly, Tif, What};
use crate::fault::Kind;
use crate::text;

/// Maker protection: how long what could take is held. Published for each market; the same for all here.
pub const HOLD_MS: u64 = 20;

/// A change of an open order.
#[derive(Debug, Clone, Copy)]
pub struct Amend {
    /// The order.
    pub id: u64,
    /// Its new price, where it gets one.
    pub price: Option<i64>,
    /// Its new quantity, where it gets one.
    pub qty: Option<i64>,
    /// Refused rather than made to take.
    pub is_post_only: bool,
}

/// What is asked of one order.
#[derive(Debug, Clone)]
pub enum Job {
    /// New.
    Place(NewOrder),
    /// Amend.
    Amend(Amend),
    /// Cancel the order of this name.
    Cancel(Name),
}

/// How a request names an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// By the venue's id.
    Venue(String),
    /// By the client's.
    Client(String),
}

impl Name {
    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Self::Venue(text) | Self::Client(text) => text,
        }
    }
}

/// The record's word of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// New.
    Place,
    /// Amend.
    Amend,
    /// Cancel.
    Cancel,
}

impl Op {
    const fn name(self) -> &'static str {
        match self {
            Self::Place => "new",
            Self::Amend => "amend",
            Self::Cancel => "cancel",
        }
    }
}

/// What came of a job.
#[derive(Debug, Clone)]
pub struct Done {
    /// The order as it is now; none of one that is still held.
    pub order: Option<Order>,
    /// What happened to it.
    pub events: Vec<(Order, What)>,
}

#[derive(Debug, Clone)]
enum Step {
    Todo(Job),
    Done(Result<Done, Refused>),
}

/// One order's part of a request.
#[derive(Debug, Clone)]
pub struct Item {
    /// What is done.
    pub op: Op,
    /// The client's word for this part of a batch.
    pub tag: String,
    /// The order's name as the request has it.
    pub name: Option<Name>,
    step: Step,
}

impl Item {
    /// A part of a request that was read, or refused at once.
    pub fn new(op: Op, name: Option<Name>, job: Result<Job, Refused>) -> Self {
        let step = match job {
            Ok(job) => Step::Todo(job),
            Err(refused) => Step::Done(Err(refused)),
        };
        Self {
            op,
            tag: String::new(),
            name,
            step,
        }
    }

    /// What came of it. Still to be done counts as the service being away.
    pub fn result(&self) -> Result<&Done, Refused> {
        match &self.step {
            Step::Done(result) => result.as_ref().map_err(Clone::clone),
            Step::Todo(_) => Err(Why::Unavailable.into()),
        }
    }

    fn is_todo(&self) -> bool {
        matches!(self.step, Step::Todo(_))
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Shape {
    /// On the Unified WebSocket.
    Unified(entry::Asked),
    /// By the legacy interface, under this key.
    Legacy(&'static str),
    /// A legacy batch.
    LegacyBatch,
    /// By a gateway that lost it.
    Broken(Response),
}

/// A request about orders on its way.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose.
    pub account: AccountId,
    /// Where the answer goes.
    pub to: ReplyTo,
    /// What it looks like.
    pub shape: Shape,
    /// When it lapses, in the venue's time.
    pub deadline_ns: Option<u64>,
    /// Its parts.
    pub items: Vec<Item>,
}

impl KrakenFutures {
    /// Carries out what needs no hold, and holds the rest.
    pub(super) fn begin(&mut self, mut call: Call) {
        for item in &mut call.items {
            let client_id = match &item.name {
                Some(Name::Client(id)) if item.op == Op::Place => Some(id.as_str()),
                _ => None,
            };
            self.core.record.request(item.op.name(), client_id);
        }
        let may_take = |job: &Job| match job {
            Job::Place(ask) => ask.post_only == PostOnly::No,
            Job::Amend(amend) => !amend.is_post_only,
            Job::Cancel(_) => false,
        };
        self.run(&mut call, |job| !may_take(job));
        if call.items.iter().any(Item::is_todo) {
            let at = self.core.now + HOLD_MS * 1_000_000;
            self.held.push_back((at, call));
        } else {
            self.finish(call);
        }
    }

    /// Releases what was held long enough, in the order it came.
    pub(super) fn release(&mut self) {
        while let Some((_, mut call)) = self.held.pop_front_if(|(at, _)| *at <= self.core.now) {
            self.run(&mut call, |_| true);
            self.finish(call);
        }
    }

    fn run(&mut self, call: &mut Call, is_wanted: impl Fn(&Job) -> bool) {
        let is_late = |now: u64| call.deadline_ns.is_some_and(|at| now > at);
        for item in &mut call.items {
            if let Step::Todo(job) = &item.step
                && is_wanted(job)
            {
                let result = if is_late(super::venue_ns(&self.core)) {
                    Err(Why::Deadline.into())
                } else {
                    self.carry_out(call.account, job.clone())
                };
                item.step = Step::Done(result);
            }
        }
    }

    fn finish(&mut self, call: Call) {
        let now = self.core.now;
        for item in &call.items {
            let name = item.name.as_ref().map_or("", Name::text);
            let Err(refused) = item.result() else {
                continue;
            };
            let client = self.core.engine.by_client_id(call.account, name);
            // An outcome left open is no refusal of an order that was carried out.
            if refused.why == Why::Timeout && client.is_some() {
                continue;
            }
            let text = refused.unified();
            let record = &mut self.core.record;
            record.refused(item.op.name(), name, refused.code(), &text, now);
        }
        let response = match &call.shape {
            Shape::Unified(asked) => Response::json(200, asked.answer(&self.core, &call.items)),
            Shape::Legacy(key) => self.legacy_status(key, &call.items),
            Shape::LegacyBatch => self.legacy_batch(&call.items),
            Shape::Broken(response) => response.clone(),
        };
        let private = std::mem::take(&mut self.private);
        self.core.answer(call.to, response, private);
    }

    fn carry_out(&mut self, account: AccountId, job: Job) -> Result<Done, Refused> {
        let now = self.core.now;
        let id = match job {
            Job::Place(ask) => self.place(ask)?,
            Job::Amend(amend) => self.amend(account, amend)?,
            Job::Cancel(name) => match self.find(account, &name) {
                Some(order) => {
                    let (id, state) = (order.id, order.state);
                    self.core
                        .engine
                        .cancel(now, id, Cause::User)
                        .map_err(|_| gone(state))?;
                    id
                }
                None => {
                    self.cancel_held(account, &name)?;
                    return Ok(Done {
                        order: None,
                        events: Vec::new(),
                    });
                }
            },
        };
        let mut events = self.absorb();
        events.retain(|(order, _)| order.id == id);
        let order = self.core.engine.order(id).cloned();
        Ok(Done { order, events })
    }

    fn place(&mut self, ask: NewOrder) -> Result<u64, Refused> {
        if let Some(fault) = self.core.faults.take(Kind::Reject) {
            return Err(Refused::numbered(fault.code));
        }
        if let Some(fault) = self.core.faults.take(Kind::Timeout) {
            if fault.is_executed {
                let _ = self.core.engine.place(self.core.now, ask);
                self.absorb();
            }
            return Err(Why::Timeout.into());
        }
        Ok(self.core.engine.place(self.core.now, ask)?)
    }

    /// A failed amend leaves the order as it was.
    fn amend(&mut self, account: AccountId, amend: Amend) -> Result<u64, Refused> {
        let engine = &mut self.core.engine;
        let order = engine.order(amend.id).filter(|order| order.state.is_open());
        let order = order.filter(|order| order.ask.account == account);
        let order = order.ok_or(Why::Unknown)?;
        let price = amend.price.or(order.ask.price).ok_or(Why::Price)?;
        let qty = amend.qty.unwrap_or(order.qty);
        let is_post_only = amend.is_post_only || order.ask.post_only != PostOnly::No;
        if is_post_only && engine.crosses(order.ask.inst, order.ask.side, price) {
            return Err(Why::PostOnly.into());
        }
        engine.amend(self.core.now, amend.id, price, qty)?;
        Ok(amend.id)
    }

    /// An order of an account by its name, whatever its state.
    pub(super) fn find(&self, account: AccountId, name: &Name) -> Option<&Order> {
        let engine = &self.core.engine;
        let order = match name {
            Name::Venue(id) => engine.order(super::reply::parse_order_id(id)?)?,
            Name::Client(id) => {
                // An order that is still held is the newer one of its name.
                let is_held = self.held_orders(account).any(|ask| *ask.client_id == **id);
                engine
                    .by_client_id(account, id)
                    .filter(|order| order.state.is_open() || !is_held)?
            }
        };
        (order.ask.account == account).then_some(order)
    }

    fn held_orders(&self, account: AccountId) -> impl Iterator<Item = &NewOrder> {
        let calls = self
            .held
            .iter()
            .filter(move |(_, call)| call.account == account);
        calls
            .flat_map(|(_, call)| &call.items)
            .filter_map(|item| match &item.step {
                Step::Todo(Job::Place(ask)) => Some(ask),
                _ => None,
            })
    }

    /// Makes a held order immediate-or-cancel. Errors: there is none of that name.
    fn cancel_held(&mut self, account: AccountId, name: &Name) -> Result<(), Refused> {
        let Name::Client(id) = name else {
            return Err(Why::Unknown.into());
        };
        let calls = self
            .held
            .iter_mut()
            .filter(|(_, call)| call.account == account);
        let mut items = calls.flat_map(|(_, call)| &mut call.items);
        let found = items.find_map(|item| match &mut item.step {
            Step::Todo(Job::Place(ask)) if *ask.client_id == **id => Some(ask),
            _ => None,
        });
        found.ok_or(Why::Unknown)?.tif = Tif::Ioc;
        Ok(())
    }

    /// Cancels all open orders of an account, of one instrument or of all. Returns them as they were.
    pub(super) fn cancel_all(
        &mut self,
        account: AccountId,
        inst: Option<usize>,
        cause: Cause,
    ) -> Vec<Order> {
        let engine = &mut self.core.engine;
        let open = engine.open_orders(account);
        let wanted = open.filter(|order| inst.is_none_or(|inst| order.ask.inst == inst));
        let orders: Vec<Order> = wanted.cloned().collect();
        for order in &orders {
            let _ = engine.cancel(self.core.now, order.id, cause);
        }
        self.absorb();
        orders
    }

    /// Sets or, at 0, clears the dead man's switch. Returns when it fires, in the venue's time.
    pub(super) fn arm(&mut self, account: AccountId, seconds: u64) -> Option<u64> {
        self.core.record.request("cancel_all_after", None);
        let wait = seconds * 1_000_000_000;
        if seconds == 0 {
            self.dead_man.remove(&account);
            return None;
        }
        self.dead_man.insert(account, self.core.now + wait);
        Some(super::venue_ns(&self.core) + wait)
    }

    /// Cancels everything of accounts whose switch fell due; it disarms.
    pub(super) fn run_dead_man(&mut self) {
        let now = self.core.now;
        let due = self.dead_man.iter().filter(|(_, at)| **at <= now);
        let due: Vec<AccountId> = due.map(|(account, _)| *account).collect();
        for account in due {
            self.dead_man.remove(&account);
            self.cancel_all(account, None, Cause::DeadMan);
        }
    }

    /// A price in increments. Errors: none, not positive, off the tick.
    pub(super) fn parse_price(&self, inst: usize, text: &str) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let price = text::increments(text, spec.price_decimals).ok_or(Why::Price)?;
        let price = price.ok_or(Why::Tick)?;
        match price {
            ..=0 => Err(Why::Price.into()),
            _ if price % spec.tick != 0 => Err(Why::Tick.into()),
            _ => Ok(price),
        }
    }

    /// A quantity in increments. Errors: none, off the lot, too small, too large.
    pub(super) fn parse_qty(&self, inst: usize, text: &str) -> Result<i64, Refused> {
        let spec = self.core.engine.spec(inst);
        let qty = text::increments(text, spec.qty_decimals)
            .flatten()
            .ok_or(Why::Size)?;
        match qty {
            _ if qty % spec.lot != 0 || qty > spec.qty_max => Err(Why::Size.into()),
            _ if qty < spec.qty_min => Err(Why::Minimum.into()),
            _ => Ok(qty),
        }
    }
}

/// A cancel that came too late: the legacy interface says of a filled order that it is.
fn gone(state: crate::engine::State) -> Refused {
    let word = match state {
        crate::engine::State::Filled => "filled",
        _ => "",
    };
    Refused::of(Why::Unknown, word)
}
