//! Risk limits as operators set them while the node runs: one page, versioned, replaced whole.
//!
//! ```text
//!   version ─▶ slot[version & 1]: node-wide words, then (order_qty_max, position_max) per instrument
//! ```
//!
//! Writers take turns by [`crate::Lock::Control`]; lanes compare the version each duty cycle and copy the
//! page when it moved. A writer killed in mid-write leaves the limits before in force. The limits outlive
//! both processes; version 0 says that none were ever set.

use crate::lock::{Lock, LockGuard};
use crate::twin::{self, join, split};
use crate::words::{pack_text, unpack_text, words_of};
use core::mem::size_of;
use core::sync::atomic::{AtomicU64, Ordering};
use dp_types::limit::CURRENCY_LIMITS_MAX;
use dp_types::{AssetId, Notional, Qty, Text};

/// Three words of two limits each, one spare, three amounts of two words, a name of four, and currencies.
const NODE_WORDS: usize = CURRENCIES_AT + CURRENCY_LIMITS_MAX * CURRENCY_WORDS;
/// What stands before the currencies.
const CURRENCIES_AT: usize = 16;
/// Which, and an amount of two.
const CURRENCY_WORDS: usize = 3;
const INSTRUMENT_WORDS: usize = 2;

/// Start of the page; the slots follow it.
#[repr(C, align(64))]
pub(crate) struct ConfigHead {
    pub(crate) version: AtomicU64,
    pad: [AtomicU64; 7],
}

impl ConfigHead {
    /// Words of one slot.
    pub(crate) const fn slot_words(instruments: usize) -> usize {
        NODE_WORDS + instruments * INSTRUMENT_WORDS
    }

    /// Bytes of the whole page.
    pub(crate) const fn size(instruments: usize) -> usize {
        size_of::<Self>() + 2 * Self::slot_words(instruments) * size_of::<AtomicU64>()
    }
}

/// Limits that hold for the whole node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeLimits {
    /// Furthest an order price may be from the mid, basis points.
    pub collar_bps: u32,
    /// New orders and amends a second, per lane.
    pub orders_per_s_max: u32,
    /// A book older than this cannot be traded on, milliseconds.
    pub book_age_ms_max: u32,
    /// Largest share of refusals among a venue's last 64 answers, percent; here and below 0 = not watched.
    pub reject_pct_max: u32,
    /// Furthest a mid may move within `move_ms`, basis points.
    pub move_bps_max: u32,
    /// Within how long, milliseconds.
    pub move_ms: u32,
    /// Largest loss since midnight UTC, reporting currency, of all lanes.
    pub day_loss_max: Notional,
    /// Largest fall of equity from its highest, per lane.
    pub drawdown_max: Notional,
    /// Largest gross exposure of all lanes, working orders included.
    pub exposure_max: Notional,
    /// Largest worth of one order.
    pub order_value_max: Notional,
    /// Largest exposures in one currency over all venues, working orders included.
    pub currencies: [CurrencyLimit; CURRENCY_LIMITS_MAX],
    /// Who put these limits, and those of instruments beside them, in force.
    pub who: Text<31>,
}

/// Largest exposure in one currency; the default is a free place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CurrencyLimit {
    /// Which; [`AssetId::NONE`] = this place is free.
    pub asset: AssetId,
    /// Reporting currency; 0 = not limited.
    pub max: Notional,
}

impl NodeLimits {
    /// Sets the largest exposure in a currency. Says whether there was a place for it: not for one more than
    /// [`CURRENCY_LIMITS_MAX`].
    pub fn limit_currency(&mut self, asset: AssetId, max: Notional) -> bool {
        let held = self.currencies.iter().position(|it| it.asset == asset);
        let free = || {
            self.currencies
                .iter()
                .position(|it| it.asset == AssetId::NONE)
        };
        let place = held
            .or_else(free)
            .and_then(|at| self.currencies.get_mut(at));
        let has_place = place.is_some();
        if let Some(place) = place {
            *place = CurrencyLimit { asset, max };
        }
        has_place
    }
}

/// Limits of one instrument; 0 = it cannot trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InstrumentLimits {
    /// Largest order, increments.
    pub order_qty_max: Qty,
    /// Largest position including working orders, increments.
    pub position_max: Qty,
}

/// The page. See the module.
#[derive(Clone, Copy)]
pub struct ConfigPage<'r> {
    pub(crate) version: &'r AtomicU64,
    pub(crate) slots: [&'r [AtomicU64]; 2],
}

impl ConfigPage<'_> {
    /// Version in force; 0 = never set. Cost: one load.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Instruments it has room for.
    pub fn instruments(&self) -> usize {
        (self.slots[0].len() - NODE_WORDS) / INSTRUMENT_WORDS
    }

    /// Copies the limits in force into `instruments` (by id; those beyond the page become 0) and returns
    /// their version with the node's. `None` when never set, or rewritten without pause.
    /// Cost: one load a word, no allocation.
    pub fn read(&self, instruments: &mut [InstrumentLimits]) -> Option<(u64, NodeLimits)> {
        for _ in 0..twin::READ_TRIES_MAX {
            let version = self.version();
            if version == 0 {
                return None;
            }
            let node = self.copy(version, instruments);
            core::sync::atomic::fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return Some((version, node));
            }
        }
        None
    }

    /// Puts new limits in force; instruments beyond `instruments` get 0. Returns their version.
    /// `guard` must be this region's [`Lock::Control`]: writers take turns.
    pub fn publish(
        &self,
        guard: &LockGuard,
        node: &NodeLimits,
        instruments: &[InstrumentLimits],
    ) -> u64 {
        assert!(
            guard.lock() == Lock::Control,
            "limits are written under the control lock"
        );
        let two = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let [loss, loss_high] = split(node.day_loss_max.0);
        let [fall, fall_high] = split(node.drawdown_max.0);
        let [exposure, exposure_high] = split(node.exposure_max.0);
        let [value, value_high] = split(node.order_value_max.0);
        let mut who = [0; 32];
        pack_text(&mut who, node.who.as_bytes());
        let [name, name_2, name_3, name_4] = words_of(&who);
        let head = [
            two(node.collar_bps, node.orders_per_s_max),
            two(node.book_age_ms_max, node.reject_pct_max),
            two(node.move_bps_max, node.move_ms),
            0,
            loss,
            loss_high,
            fall,
            fall_high,
            exposure,
            exposure_high,
            value,
            value_high,
            name,
            name_2,
            name_3,
            name_4,
        ];
        let currencies = node.currencies.iter().flat_map(|it| {
            let [low, high] = split(it.max.0);
            [u64::from(it.asset.0), low, high]
        });
        let lines = instruments
            .iter()
            .flat_map(|one| [one.order_qty_max.0 as u64, one.position_max.0 as u64])
            .chain(core::iter::repeat(0));
        twin::publish(
            self.version,
            self.slots,
            head.into_iter().chain(currencies).chain(lines),
        )
    }

    fn copy(&self, version: u64, instruments: &mut [InstrumentLimits]) -> NodeLimits {
        let (head, lines) = self.slots[(version & 1) as usize].split_at(NODE_WORDS);
        let mut pairs = lines.chunks_exact(INSTRUMENT_WORDS);
        for one in instruments {
            let pair = pairs.next();
            let word = |at: usize| pair.map_or(0, |pair| pair[at].load(Ordering::Relaxed) as i64);
            *one = InstrumentLimits {
                order_qty_max: Qty(word(0)),
                position_max: Qty(word(1)),
            };
        }
        let word = |at: usize| head[at].load(Ordering::Relaxed);
        let two = |at: usize| (word(at) as u32, (word(at) >> 32) as u32);
        let money = |at: usize| Notional(join(word(at), word(at + 1)));
        let (collar_bps, orders_per_s_max) = two(0);
        let (book_age_ms_max, reject_pct_max) = two(1);
        let (move_bps_max, move_ms) = two(2);
        let mut currencies = [CurrencyLimit::default(); CURRENCY_LIMITS_MAX];
        for (at, it) in currencies.iter_mut().enumerate() {
            let first = CURRENCIES_AT + at * CURRENCY_WORDS;
            *it = CurrencyLimit {
                asset: AssetId(word(first) as u16),
                max: money(first + 1),
            };
        }
        NodeLimits {
            currencies,
            collar_bps,
            orders_per_s_max,
            book_age_ms_max,
            reject_pct_max,
            move_bps_max,
            move_ms,
            day_loss_max: money(4),
            drawdown_max: money(6),
            exposure_max: money(8),
            order_value_max: money(10),
            who: unpack_text(
                [12, 13, 14, 15]
                    .map(|at| word(at).to_le_bytes())
                    .as_flattened(),
            ),
        }
    }
}
