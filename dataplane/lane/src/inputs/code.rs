//! How inputs are written as bytes: numbers as LEB128 (signed ones zigzag), fields in the order they are named, a tag
//! before each choice. Reading takes nothing on trust: what does not fit is `None`, never a panic, never a loop.

use super::{Elsewhere, Setting, Words};
use crate::desk::{Fact, Outcome};
use dp_book::FeedPlan;
use dp_journal::RecoveredOrder;
use dp_journal::entry::{Equity, Halt};
use dp_risk::WatchLimits;
use dp_shm::twin;
use dp_shm::{
    BalanceState, CommandNote, CurrencyLimit, InstrumentLimits, KillState, NodeLimits,
    PositionState, SavedState,
};
use dp_types::{
    AssetId, Balance, BookMsgKind, ClientOrderId, Decimal, Epoch, FillReport, FundingReport,
    Instrument, InstrumentId, LaneId, Liquidity, Notional, OrderAct, OrderId, OrderKind,
    OrderReport, OrderState, Payoff, PositionReport, Price, Qty, QuoteMsg, RawLevel, RawOrder,
    RejectReason, Side, StrategyId, StrategyState, Text, Tif, TradeId, TradeMsg, Tsc, UnixNanos,
    VenueId, VenueNanos,
};
use dp_venue_api::RequestAck;

/// Items one list may have when it is read: more than any engine is ever given at once.
const LIST_MAX: u64 = 1 << 21;

/// Bytes being written.
pub(crate) type Out = Vec<u8>;

/// Bytes being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct In<'a>(pub(crate) &'a [u8]);

impl In<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u128> {
        let mut value = 0u128;
        for shift in (0..).step_by(7).take(19) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            let placed = bits << shift;
            if placed >> shift != bits {
                return None;
            }
            value |= placed;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

fn put_number(mut value: u128, out: &mut Out) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Something that is written and read.
pub(super) trait Code: Sized {
    fn put(&self, out: &mut Out);
    fn get(from: &mut In<'_>) -> Option<Self>;
}

macro_rules! unsigned {
    ($($type:ty),*) => { $(impl Code for $type {
        fn put(&self, out: &mut Out) {
            put_number(u128::from(*self), out);
        }
        fn get(from: &mut In<'_>) -> Option<Self> {
            Self::try_from(from.number()?).ok()
        }
    })* };
}
unsigned!(u8, u16, u32, u64, u128);

macro_rules! signed {
    ($($type:ty),*) => { $(impl Code for $type {
        fn put(&self, out: &mut Out) {
            let wide = i128::from(*self);
            put_number(((wide << 1) ^ (wide >> 127)) as u128, out);
        }
        fn get(from: &mut In<'_>) -> Option<Self> {
            let folded = from.number()?;
            let wide = (folded >> 1) as i128 ^ -((folded & 1) as i128);
            Self::try_from(wide).ok()
        }
    })* };
}
signed!(i8, i32, i64, i128);

impl Code for bool {
    fn put(&self, out: &mut Out) {
        out.push(u8::from(*self));
    }

    fn get(from: &mut In<'_>) -> Option<Self> {
        match from.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Code for usize {
    fn put(&self, out: &mut Out) {
        (*self as u64).put(out);
    }

    fn get(from: &mut In<'_>) -> Option<Self> {
        Self::try_from(u64::get(from)?).ok()
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, out: &mut Out) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut In<'_>) -> Option<Self> {
        if bool::get(from)? {
            T::get(from).map(Some)
        } else {
            Some(None)
        }
    }
}

impl<A: Code, B: Code, C: Code> Code for (A, B, C) {
    fn put(&self, out: &mut Out) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }

    fn get(from: &mut In<'_>) -> Option<Self> {
        Some((A::get(from)?, B::get(from)?, C::get(from)?))
    }
}

impl<A: Code, B: Code> Code for (A, B) {
    fn put(&self, out: &mut Out) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(from: &mut In<'_>) -> Option<Self> {
        Some((A::get(from)?, B::get(from)?))
    }
}

impl<T: Code> Code for Box<T> {
    fn put(&self, out: &mut Out) {
        T::put(self, out);
    }
    fn get(from: &mut In<'_>) -> Option<Self> {
        T::get(from).map(Self::new)
    }
}

impl<T: Code + Copy + Default, const N: usize> Code for [T; N] {
    fn put(&self, out: &mut Out) {
        for one in self {
            one.put(out);
        }
    }
    fn get(from: &mut In<'_>) -> Option<Self> {
        let mut all = [T::default(); N];
        for one in &mut all {
            *one = T::get(from)?;
        }
        Some(all)
    }
}

impl<const N: usize> Code for Text<N> {
    fn put(&self, out: &mut Out) {
        put_list(self.as_bytes(), out);
    }

    fn get(from: &mut In<'_>) -> Option<Self> {
        let bytes: Vec<u8> = get_list(from)?;
        Self::new(core::str::from_utf8(&bytes).ok()?)
    }
}

/// Writes a list: how many, then each.
pub(super) fn put_list<T: Code>(items: &[T], out: &mut Out) {
    items.len().put(out);
    for item in items {
        item.put(out);
    }
}

/// Reads a list.
pub(super) fn get_list<T: Code>(from: &mut In<'_>) -> Option<Vec<T>> {
    let mut items = Vec::new();
    get_into(from, &mut items)?;
    Some(items)
}

/// Reads a list over what was there.
pub(super) fn get_into<T: Code>(from: &mut In<'_>, items: &mut Vec<T>) -> Option<()> {
    items.clear();
    let count = u64::get(from)?;
    // Each item is a byte at least.
    if count > LIST_MAX || count > from.0.len() as u64 {
        return None;
    }
    for _ in 0..count {
        items.push(T::get(from)?);
    }
    Some(())
}

macro_rules! wrapped {
    ($($type:ident),*) => { $(impl Code for $type {
        fn put(&self, out: &mut Out) {
            self.0.put(out);
        }
        fn get(from: &mut In<'_>) -> Option<Self> {
            Code::get(from).map($type)
        }
    })* };
}
wrapped!(
    AssetId,
    Epoch,
    InstrumentId,
    LaneId,
    Notional,
    OrderId,
    Price,
    Qty,
    StrategyId,
    TradeId,
    Tsc,
    UnixNanos,
    VenueId,
    VenueNanos
);

impl Code for ClientOrderId {
    fn put(&self, out: &mut Out) {
        self.0.put(out);
    }

    fn get(from: &mut In<'_>) -> Option<Self> {
        Self::from_raw(u64::get(from)?)
    }
}

macro_rules! numbered {
    ($($type:ident),*) => { $(impl Code for $type {
        fn put(&self, out: &mut Out) {
            out.push(*self as u8);
        }
        fn get(from: &mut In<'_>) -> Option<Self> {
            Self::from_raw(from.byte()?)
        }
    })* };
}
numbered!(
    Side,
    OrderKind,
    Tif,
    OrderState,
    Liquidity,
    Payoff,
    RejectReason,
    StrategyState
);

/// What already has a form of so many words.
fn words_of<const N: usize, T: twin::Words<N>>(from: &mut In<'_>) -> Option<T> {
    let mut words = [0; N];
    for word in &mut words {
        *word = u64::get(from)?;
    }
    T::from_words(&words)
}

macro_rules! in_words {
    ($($type:ident)*) => { $(impl Code for $type {
        fn put(&self, out: &mut Out) {
            for word in twin::Words::to_words(self) {
                word.put(out);
            }
        }
        fn get(from: &mut In<'_>) -> Option<Self> {
            words_of(from)
        }
    })* };
}
in_words!(CommandNote SavedState PositionState BalanceState);

macro_rules! fields {
    ($($type:ident { $($field:ident),* $(,)? })*) => { $(impl Code for $type {
        fn put(&self, out: &mut Out) {
            $(self.$field.put(out);)*
        }
        fn get(from: &mut In<'_>) -> Option<Self> {
            Some(Self { $($field: Code::get(from)?),* })
        }
    })* };
}
fields! {
    Decimal { mantissa, exponent }
    RawLevel { price, qty }
    RawOrder { act, id, side, price, qty }
    TradeMsg { instrument, trade_id, taker, price, qty, venue_ns }
    QuoteMsg { instrument, update_id, bid, ask, venue_ns }
    OrderReport { instrument, client_id, order_id, side, state, reason, price, qty, cum, venue_ns }
    FillReport {
        instrument, client_id, order_id, trade_id, side, price, qty, cum, fee, fee_asset, liquidity, venue_ns,
    }
    FundingReport { instrument, id, amount, asset, venue_ns }
    PositionReport { instrument, qty, entry, venue_ns }
    Balance { venue, asset, free, locked }
    RequestAck { client_id, order_id, reason, code, venue_ns }
    Instrument {
        id, venue, price_decimals, qty_decimals, is_live, is_spot, payoff, symbol, base, quote, venue_code, tick, lot, qty_min,
        qty_max, notional_min, multiplier,
    }
    KillState { is_killed, changes }
    Words { lease_until, kill, who, why }
    Elsewhere { loss, gross }
    InstrumentLimits { order_qty_max, position_max }
    CurrencyLimit { asset, max }
    NodeLimits {
        collar_bps, orders_per_s_max, book_age_ms_max, reject_pct_max, move_bps_max, move_ms, day_loss_max,
        drawdown_max, exposure_max, order_value_max, currencies, who,
    }
    WatchLimits { day_loss_max, drawdown_max, reject_pct_max, move_bps_max, move_ns }
    Halt { venue, instrument, is_halted, rule, observed, limit, who }
    Equity { day, at_midnight, highest, now }
    FeedPlan { count, hold_ns }
    RecoveredOrder {
        client_id, order_id, instrument, venue, strategy, side, kind, tif, state, price, qty, cum_qty, filled,
        is_cancelling, is_amending, at,
    }
}

macro_rules! choices {
    ($($type:ident { $($tag:literal $variant:ident $(($($name:ident),*))?,)* })*) => { $(impl Code for $type {
        fn put(&self, out: &mut Out) {
            match self {
                $(Self::$variant $(($($name),*))? => {
                    out.push($tag);
                    $($($name.put(out);)*)?
                })*
            }
        }
        fn get(from: &mut In<'_>) -> Option<Self> {
            Some(match from.byte()? {
                $($tag => Self::$variant $(($({
                    let $name = Code::get(from)?;
                    $name
                }),*))?,)*
                _ => return None,
            })
        }
    })* };
}
choices! {
    BookMsgKind { 0 Snapshot, 1 Delta, }
    OrderAct { 0 Rests, 1 Ranked(place), 2 Becomes, 3 Resized, 4 Trades, }
    Fact {
        0 LoggedIn, 1 ReconcileStarted, 2 Reconciled, 3 RateLimited(until), 4 FeedLost(feed), 5 OrdersLost,
        6 PrivateFault, 7 BookLost(id), 8 L3Lost(id),
    }
    Setting {
        0 Watch(limits), 1 ExposureMax(max), 2 CurrencyMax(asset, max), 3 Currency(asset), 4 Rate(asset, rate),
        5 Tolerance(instrument, qty), 6 BalanceTolerance(asset, amount), 7 SharedAccount(venue),
        8 OrderValueMax(max), 9 ListedPositions(venue), 10 BalanceRounding(asset, amount),
    }
    Outcome {
        0 NewSent(id), 1 NewRefused(id, reason), 2 NewWithheld(id), 3 AmendSent(id), 4 AmendRefused(id, reason),
        5 CancelSent(id), 6 CancelRefused(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_shm::Command;
    use proptest::prelude::*;

    fn there_and_back<T: Code + PartialEq + core::fmt::Debug>(value: &T) {
        let mut out = Vec::new();
        value.put(&mut out);
        let mut from = In(&out);
        assert_eq!(T::get(&mut from).as_ref(), Some(value));
        assert!(from.0.is_empty(), "{value:?} left bytes");
        for end in 0..out.len() {
            assert_eq!(T::get(&mut In(&out[..end])), None, "{value:?} cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back(a: u64, b: i64, c: i128, d: u128, e: i8, f: u16) {
            there_and_back(&a);
            there_and_back(&b);
            there_and_back(&c);
            there_and_back(&d);
            there_and_back(&e);
            there_and_back(&f);
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = OrderReport::get(&mut In(&bytes));
            let _ = Instrument::get(&mut In(&bytes));
            let _ = get_list::<RawLevel>(&mut In(&bytes));
            let _ = CommandNote::get(&mut In(&bytes));
        }
    }

    #[test]
    fn choices_and_fields_come_back() {
        there_and_back(&Fact::RateLimited(UnixNanos(7)));
        there_and_back(&Fact::BookLost(InstrumentId(3)));
        there_and_back(&Outcome::NewRefused(
            ClientOrderId::new(Epoch(2), LaneId(1), 9).expect("an id"),
            RejectReason::RateLimit,
        ));
        there_and_back(&CommandNote {
            command: Command::StrategyStop(StrategyId(4)),
            who: Text::lossy("somebody"),
            at: UnixNanos(11),
        });
        let mut instrument =
            Instrument::bare(InstrumentId(5), VenueId::OKX, Text::lossy("BTC-USDT"), 2, 8);
        instrument.notional_min = Notional(-3);
        there_and_back(&instrument);
        there_and_back(&OrderAct::Ranked(-1));
    }

    #[test]
    fn too_wide_a_number_is_refused() {
        let mut out = Vec::new();
        300u16.put(&mut out);
        assert_eq!(u8::get(&mut In(&out)), None);
        assert_eq!(u128::get(&mut In(&[0xff; 19])), None);
        assert_eq!(bool::get(&mut In(&[2])), None);
        // A list that says it is longer than its bytes.
        assert!(get_list::<u8>(&mut In(&[5, 1])).is_none());
    }
}
