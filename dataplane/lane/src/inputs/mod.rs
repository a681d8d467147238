//! Everything an engine decides on, in the order it was told it: written while it runs, and played again bit for bit.
//!
//! ```text
//!   lane:    entry point ─▶ Recorder ─▶ a full buffer ═▶ thread ─▶ file
//!   replay:  file ─▶ Input ─▶ the same entry point ─▶ the same records and actions, or the place where they part
//! ```
//! The engine is a function of these inputs alone. What it reads from shared memory while it works (whether the journal
//! has room, limits in force) is an input too, and stands behind the one it was read for. What came out is in the file
//! as a running sum, so that a replay proves itself and names the first input after which it went another way.
//!
//! Nothing here decides anything, and a lane that is not recorded pays a test of a pointer an input.

mod code;
mod file;
mod recorder;
mod replay;

pub use file::{Ended, FileFault, Shelf, keep};
pub use recorder::Recorder;
pub use replay::{Diverged, ReplayFault, Replayed, replay};

pub(crate) use recorder::Tap;

use crate::desk::{Fact, Outcome};
use crate::engine::{Seating, Setup};
use code::{Code, In, Out, get_into, get_list, put_list};
use dp_book::FeedPlan;
use dp_journal::entry::{Equity, Halt};
use dp_journal::{Recovered, RecoveredOrder};
use dp_risk::WatchLimits;
use dp_shm::{
    BalanceState, CommandNote, InstrumentLimits, KillState, NodeLimits, PositionState, SavedState,
};
use dp_strategy::PARAMS_MAX;
use dp_types::{
    AssetId, BookMsg, ClientOrderId, Instrument, InstrumentId, L3Msg, LaneId, Notional, Now, Qty,
    RawLevel, RawOrder, StrategyId, StrategyState, Text, TradeId, Tsc, UnixNanos, VenueId,
};
use dp_venue_api::Event;

/// Longest name of a kind of strategy that is kept.
pub(crate) type KindName = Text<47>;

/// One thing an engine was told, or read.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// What it is made with: always first.
    Setup(Setup),
    /// How a venue's market data comes.
    Feeds(VenueId, FeedPlan),
    /// Single orders to follow.
    Follow(InstrumentId, usize),
    /// What an earlier run left.
    Recover(Box<Past>, Now),
    /// Rules of a venue's instruments.
    Instruments(VenueId, Vec<Instrument>),
    /// Limits of an instrument.
    Limits(InstrumentId, Option<dp_risk::Limits>),
    /// A limit of money, or what it is counted in.
    Set(Setting),
    /// A strategy was seated.
    Seat(Box<Seated>, UnixNanos),
    /// The words others write.
    Words(Words, Now),
    /// An event other than a book message.
    Event(u8, Event<'a>, Now),
    /// A book message, of a feed, received at the time given last.
    Book(u8, BookMsg<'a>, Now, UnixNanos),
    /// Messages about a book were lost on their way to this lane.
    BookLost(InstrumentId, u8, Now),
    /// What befell a venue's links.
    Fact(VenueId, Fact, Now),
    /// What became of an order.
    Outcome(Outcome, Now),
    /// What became of an errand to another lane.
    Errand(Outcome, Now),
    /// A cancel went to another lane.
    CancelPassed(ClientOrderId, Now),
    /// An amend went to another lane.
    AmendPassed(ClientOrderId, Now),
    /// What the node's other lanes had lost and held when this one looked.
    Elsewhere(Elsewhere),
    /// Timers.
    Tick(Now),
    /// People, at the turn's time.
    Command(CommandNote, UnixNanos),
    /// The node stops, at the turn's time.
    Stop(UnixNanos),
    /// An action was taken.
    Took,
    /// There was none left.
    Drained,
    /// Of the input before: the journal refused what it was asked so manieth, from 0.
    Refused(u32),
    /// Of the input before: live orders had to be published again.
    CheckpointDue,
    /// Of the input before: limits had been put in force.
    Page(u64, Box<NodeLimits>, Vec<InstrumentLimits>),
    /// Of the input before: the words others write, read again because it had changed them.
    Within(Words),
    /// The running sum of all that came out so far.
    Check(u64),
}

/// What an earlier run left, as far as an engine takes it over.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub(crate) orders: Vec<RecoveredOrder>,
    pub(crate) positions: Vec<(InstrumentId, PositionState)>,
    pub(crate) parts: Vec<((InstrumentId, StrategyId), PositionState)>,
    pub(crate) halts: Vec<Halt>,
    pub(crate) equity: Vec<(LaneId, Equity)>,
    pub(crate) trades: Vec<(VenueId, InstrumentId, TradeId)>,
    pub(crate) balances: Vec<BalanceState>,
    pub(crate) payments: Vec<(VenueId, InstrumentId, TradeId)>,
}

impl Past {
    pub(crate) fn of(recovered: &Recovered) -> Self {
        Self {
            orders: recovered.orders.values().copied().collect(),
            positions: recovered
                .positions
                .iter()
                .map(|(id, it)| (*id, *it))
                .collect(),
            parts: recovered
                .parts
                .iter()
                .map(|(key, it)| (*key, *it))
                .collect(),
            halts: recovered.halts.values().copied().collect(),
            equity: recovered.equity.iter().map(|(id, it)| (*id, *it)).collect(),
            trades: recovered.seen_trades.iter().copied().collect(),
            balances: recovered.balances.values().copied().collect(),
            payments: recovered.seen_payments.iter().copied().collect(),
        }
    }

    pub(crate) fn recovered(self) -> Recovered {
        Recovered {
            orders: self
                .orders
                .into_iter()
                .map(|it| (it.client_id, it))
                .collect(),
            positions: self.positions.into_iter().collect(),
            parts: self.parts.into_iter().collect(),
            halts: self
                .halts
                .into_iter()
                .map(|it| ((it.venue, it.instrument), it))
                .collect(),
            equity: self.equity.into_iter().collect(),
            seen_trades: self.trades.into(),
            balances: self
                .balances
                .into_iter()
                .map(|it| ((it.venue, it.asset), it))
                .collect(),
            seen_payments: self.payments.into(),
            ..Recovered::default()
        }
    }
}

/// What may be risked in money, from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// What trips.
    Watch(WatchLimits),
    /// Largest gross exposure.
    ExposureMax(Notional),
    /// Largest worth of one order.
    OrderValueMax(Notional),
    /// Largest exposure in an asset.
    CurrencyMax(AssetId, Notional),
    /// What money is counted in.
    Currency(AssetId),
    /// What an asset is worth.
    Rate(AssetId, u64),
    /// How far a venue's word of a position may be from ours.
    Tolerance(InstrumentId, Qty),
    /// How far its word of an asset may be.
    BalanceTolerance(AssetId, Notional),
    /// Others trade in a venue's account.
    SharedAccount(VenueId),
    /// A venue tells each position in every comparison.
    ListedPositions(VenueId),
    /// How much of an asset rounding may come to.
    BalanceRounding(AssetId, Notional),
}

/// A strategy as it was seated.
#[derive(Debug, Clone)]
pub(crate) struct Seated {
    pub(crate) id: StrategyId,
    pub(crate) name: Text<31>,
    pub(crate) legs: Vec<InstrumentId>,
    pub(crate) kind: KindName,
    pub(crate) values: [i64; PARAMS_MAX],
    pub(crate) configured: [i64; PARAMS_MAX],
    pub(crate) identity: u64,
    pub(crate) goal: StrategyState,
    pub(crate) saved: Option<SavedState>,
}

impl Seated {
    pub(crate) fn of(seating: &Seating) -> Self {
        Self {
            id: seating.id,
            name: seating.name,
            legs: seating.legs.clone(),
            kind: Text::lossy(seating.kind.name),
            values: *seating.values.raw(),
            configured: *seating.configured.raw(),
            identity: seating.identity,
            goal: seating.goal,
            saved: seating.saved,
        }
    }
}

/// The words others write, as an engine read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    /// Until when the lease is this run's; 0 = it is not.
    pub(crate) lease_until: UnixNanos,
    pub(crate) kill: KillState,
    pub(crate) who: Text<31>,
    pub(crate) why: Text<55>,
}

/// The other lanes of the node, added up; reporting currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Elsewhere {
    /// Lost since midnight UTC; negative: won.
    pub(crate) loss: Notional,
    /// Gross exposure.
    pub(crate) gross: Notional,
}

/// Books' levels and orders while they are read.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bids: Vec<RawLevel>,
    asks: Vec<RawLevel>,
    orders: Vec<RawOrder>,
}

/// Bytes an input other than a list takes at most.
const INPUT_BYTES: usize = 512;
/// Bytes a level or an order of a book takes at most.
const ITEM_BYTES: usize = 72;

impl Input<'_> {
    /// Whether what stands behind this tag belongs to the input before.
    pub(crate) const fn is_nested(tag: u8) -> bool {
        matches!(tag, 21..=23 | 26)
    }

    /// Bytes it takes at most; lists of a start, which may allocate, are not counted.
    pub(crate) const fn bytes_max(&self) -> usize {
        let items = match self {
            Self::Book(_, msg, ..) => msg.bids.len() + msg.asks.len(),
            Self::Event(_, Event::L3(msg), _) => msg.orders.len(),
            _ => 0,
        };
        INPUT_BYTES + items * ITEM_BYTES
    }

    /// Appends it; times are told as what has passed since `last`.
    pub(crate) fn put(&self, out: &mut Out, last: &mut Now) {
        match self {
            Self::Setup(setup) => {
                out.push(0);
                setup.epoch.put(out);
                setup.lane.put(out);
                setup.limits.collar_bps.put(out);
                setup.limits.orders_per_s_max.put(out);
                setup.limits.book_age_ns_max.put(out);
                setup.order_window_ns.put(out);
                put_list(&setup.venues, out);
                put_list(&setup.instruments, out);
            }
            Self::Feeds(venue, plan) => {
                out.push(1);
                venue.put(out);
                plan.put(out);
            }
            Self::Follow(id, max) => {
                out.push(2);
                id.put(out);
                max.put(out);
            }
            Self::Recover(past, now) => {
                out.push(3);
                put_now(*now, out, last);
                put_list(&past.orders, out);
                put_list(&past.positions, out);
                put_list(&past.parts, out);
                put_list(&past.halts, out);
                put_list(&past.equity, out);
                put_list(&past.trades, out);
                put_list(&past.balances, out);
                put_list(&past.payments, out);
            }
            Self::Instruments(venue, list) => {
                out.push(4);
                venue.put(out);
                put_list(list, out);
            }
            Self::Limits(id, limits) => {
                out.push(5);
                id.put(out);
                limits
                    .map(|it| (it.order_qty_max, it.position_max))
                    .put(out);
            }
            Self::Seat(seated, seen) => {
                out.push(6);
                seen.put(out);
                seated.id.put(out);
                seated.name.put(out);
                put_list(&seated.legs, out);
                seated.kind.put(out);
                put_list(&seated.values, out);
                put_list(&seated.configured, out);
                seated.identity.put(out);
                seated.goal.put(out);
                seated.saved.put(out);
            }
            Self::Words(words, now) => {
                out.push(7);
                put_now(*now, out, last);
                words.put(out);
            }
            Self::Event(feed, event, now) => put_event(*feed, event, *now, out, last),
            Self::Book(feed, msg, now, arrived) => {
                out.push(9);
                feed.put(out);
                put_now(*now, out, last);
                // Never later than now, and nearly always now itself.
                now.unix.since(*arrived).put(out);
                msg.instrument.put(out);
                msg.kind.put(out);
                (msg.first_id, msg.last_id, msg.prev_id).put(out);
                msg.checksum.put(out);
                msg.venue_ns.put(out);
                put_list(msg.bids, out);
                put_list(msg.asks, out);
            }
            Self::BookLost(id, feed, now) => {
                out.push(10);
                put_now(*now, out, last);
                id.put(out);
                feed.put(out);
            }
            Self::Fact(venue, fact, now) => {
                out.push(11);
                put_now(*now, out, last);
                venue.put(out);
                fact.put(out);
            }
            Self::Outcome(outcome, now) => {
                out.push(12);
                put_now(*now, out, last);
                outcome.put(out);
            }
            Self::Errand(outcome, now) => {
                out.push(13);
                put_now(*now, out, last);
                outcome.put(out);
            }
            Self::CancelPassed(id, now) => {
                out.push(14);
                put_now(*now, out, last);
                id.put(out);
            }
            Self::AmendPassed(id, now) => {
                out.push(15);
                put_now(*now, out, last);
                id.put(out);
            }
            Self::Tick(now) => {
                out.push(16);
                put_now(*now, out, last);
            }
            Self::Command(note, seen) => {
                out.push(17);
                note.put(out);
                seen.put(out);
            }
            Self::Stop(seen) => {
                out.push(18);
                seen.put(out);
            }
            Self::Took => out.push(19),
            Self::Drained => out.push(20),
            Self::Refused(ask) => {
                out.push(21);
                ask.put(out);
            }
            Self::CheckpointDue => out.push(22),
            Self::Page(version, node, limits) => {
                out.push(23);
                version.put(out);
                node.put(out);
                put_list(limits, out);
            }
            Self::Elsewhere(it) => {
                out.push(27);
                it.put(out);
            }
            Self::Set(setting) => {
                out.push(25);
                setting.put(out);
            }
            Self::Within(words) => {
                out.push(26);
                words.put(out);
            }
            Self::Check(sum) => {
                out.push(24);
                out.extend(sum.to_le_bytes());
            }
        }
    }

    /// Reads the next one; `None` = no input stands there.
    pub(crate) fn get<'s>(
        from: &mut In<'_>,
        last: &mut Now,
        scratch: &'s mut Scratch,
    ) -> Option<Input<'s>> {
        Some(match from.byte()? {
            0 => Input::Setup(Setup {
                epoch: Code::get(from)?,
                lane: Code::get(from)?,
                limits: dp_risk::NodeLimits {
                    collar_bps: Code::get(from)?,
                    orders_per_s_max: Code::get(from)?,
                    book_age_ns_max: Code::get(from)?,
                },
                order_window_ns: Code::get(from)?,
                venues: get_list(from)?,
                instruments: get_list(from)?,
            }),
            1 => Input::Feeds(Code::get(from)?, Code::get(from)?),
            2 => Input::Follow(Code::get(from)?, Code::get(from)?),
            3 => {
                let now = get_now(from, last)?;
                let past = Past {
                    orders: get_list(from)?,
                    positions: get_list(from)?,
                    parts: get_list(from)?,
                    halts: get_list(from)?,
                    equity: get_list(from)?,
                    trades: get_list(from)?,
                    balances: get_list(from)?,
                    payments: get_list(from)?,
                };
                Input::Recover(Box::new(past), now)
            }
            4 => Input::Instruments(Code::get(from)?, get_list(from)?),
            5 => {
                let id = Code::get(from)?;
                let limits: Option<(_, _)> = Code::get(from)?;
                let limits = limits.map(|(order_qty_max, position_max)| dp_risk::Limits {
                    order_qty_max,
                    position_max,
                });
                Input::Limits(id, limits)
            }
            6 => {
                let seen = Code::get(from)?;
                let seated = Seated {
                    id: Code::get(from)?,
                    name: Code::get(from)?,
                    legs: get_list(from)?,
                    kind: Code::get(from)?,
                    values: get_list(from)?.try_into().ok()?,
                    configured: get_list(from)?.try_into().ok()?,
                    identity: Code::get(from)?,
                    goal: Code::get(from)?,
                    saved: Code::get(from)?,
                };
                Input::Seat(Box::new(seated), seen)
            }
            7 => {
                let now = get_now(from, last)?;
                Input::Words(Code::get(from)?, now)
            }
            8 => get_event(from, last, scratch)?,
            9 => {
                let feed = Code::get(from)?;
                let now = get_now(from, last)?;
                let before: u64 = Code::get(from)?;
                let instrument = Code::get(from)?;
                let kind = Code::get(from)?;
                let (first_id, last_id, prev_id) = Code::get(from)?;
                let checksum = Code::get(from)?;
                let venue_ns = Code::get(from)?;
                get_into(from, &mut scratch.bids)?;
                get_into(from, &mut scratch.asks)?;
                let msg = BookMsg {
                    instrument,
                    kind,
                    first_id,
                    last_id,
                    prev_id,
                    checksum,
                    bids: &scratch.bids,
                    asks: &scratch.asks,
                    venue_ns,
                };
                let arrived = UnixNanos(now.unix.0.checked_sub(before)?);
                Input::Book(feed, msg, now, arrived)
            }
            10 => {
                let now = get_now(from, last)?;
                Input::BookLost(Code::get(from)?, Code::get(from)?, now)
            }
            11 => {
                let now = get_now(from, last)?;
                Input::Fact(Code::get(from)?, Code::get(from)?, now)
            }
            12 => {
                let now = get_now(from, last)?;
                Input::Outcome(Code::get(from)?, now)
            }
            13 => {
                let now = get_now(from, last)?;
                Input::Errand(Code::get(from)?, now)
            }
            14 => {
                let now = get_now(from, last)?;
                Input::CancelPassed(Code::get(from)?, now)
            }
            15 => {
                let now = get_now(from, last)?;
                Input::AmendPassed(Code::get(from)?, now)
            }
            16 => Input::Tick(get_now(from, last)?),
            17 => Input::Command(Code::get(from)?, Code::get(from)?),
            18 => Input::Stop(Code::get(from)?),
            19 => Input::Took,
            20 => Input::Drained,
            21 => Input::Refused(Code::get(from)?),
            22 => Input::CheckpointDue,
            23 => Input::Page(Code::get(from)?, Code::get(from)?, get_list(from)?),
            24 => {
                let mut bytes = [0; 8];
                for byte in &mut bytes {
                    *byte = from.byte()?;
                }
                Input::Check(u64::from_le_bytes(bytes))
            }
            25 => Input::Set(Code::get(from)?),
            26 => Input::Within(Code::get(from)?),
            27 => Input::Elsewhere(Code::get(from)?),
            _ => return None,
        })
    }
}

fn put_now(now: Now, out: &mut Out, last: &mut Now) {
    // Wrapping: whatever the clocks do, the sum comes out.
    (now.unix.0.wrapping_sub(last.unix.0) as i64).put(out);
    (now.tsc.0.wrapping_sub(last.tsc.0) as i64).put(out);
    *last = now;
}

fn get_now(from: &mut In<'_>, last: &mut Now) -> Option<Now> {
    let (unix, tsc): (i64, i64) = Code::get(from)?;
    *last = Now {
        unix: UnixNanos(last.unix.0.wrapping_add(unix as u64)),
        tsc: Tsc(last.tsc.0.wrapping_add(tsc as u64)),
    };
    Some(*last)
}

fn put_event(feed: u8, event: &Event<'_>, now: Now, out: &mut Out, last: &mut Now) {
    out.push(8);
    feed.put(out);
    put_now(now, out, last);
    match event {
        Event::L3(msg) => {
            out.push(0);
            msg.instrument.put(out);
            msg.kind.put(out);
            msg.last_id.put(out);
            msg.has_hole.put(out);
            msg.has_more.put(out);
            msg.checksum.put(out);
            msg.venue_ns.put(out);
            put_list(msg.orders, out);
        }
        Event::Trade(trade) => {
            out.push(1);
            trade.put(out);
        }
        Event::Quote(quote) => {
            out.push(2);
            quote.put(out);
        }
        Event::Order(report) => {
            out.push(3);
            report.put(out);
        }
        Event::Fill(report) => {
            out.push(4);
            report.put(out);
        }
        Event::Balance(balance) => {
            out.push(5);
            balance.put(out);
        }
        Event::Position(report) => {
            out.push(6);
            report.put(out);
        }
        Event::Ack(ack) => {
            out.push(7);
            ack.put(out);
        }
        Event::Funding(report) => {
            out.push(9);
            report.put(out);
        }
        // A book message is an input of its own, and these are no input.
        Event::Book(_) | Event::Control(_) | Event::Ignored(_) => out.push(8),
    }
}

fn get_event<'s>(from: &mut In<'_>, last: &mut Now, scratch: &'s mut Scratch) -> Option<Input<'s>> {
    let feed = Code::get(from)?;
    let now = get_now(from, last)?;
    let event = match from.byte()? {
        0 => {
            let instrument = Code::get(from)?;
            let kind = Code::get(from)?;
            let last_id = Code::get(from)?;
            let has_hole = Code::get(from)?;
            let has_more = Code::get(from)?;
            let checksum = Code::get(from)?;
            let venue_ns = Code::get(from)?;
            get_into(from, &mut scratch.orders)?;
            Event::L3(L3Msg {
                instrument,
                kind,
                last_id,
                has_hole,
                has_more,
                checksum,
                orders: &scratch.orders,
                venue_ns,
            })
        }
        1 => Event::Trade(Code::get(from)?),
        2 => Event::Quote(Code::get(from)?),
        3 => Event::Order(Code::get(from)?),
        4 => Event::Fill(Code::get(from)?),
        5 => Event::Balance(Code::get(from)?),
        6 => Event::Position(Code::get(from)?),
        7 => Event::Ack(Code::get(from)?),
        8 => Event::Ignored("was no input"),
        9 => Event::Funding(Code::get(from)?),
        _ => return None,
    };
    Some(Input::Event(feed, event, now))
}
