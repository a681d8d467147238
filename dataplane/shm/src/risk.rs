//! How a lane stands towards its limits, and what each strategy holds: lines beside the positions.
//!
//! Writer of a line: its lane. Readers: the control plane, the CLI.

use crate::lines::PositionState;
use crate::twin::{Twin, Words, join, split};
use dp_types::{AssetId, InstrumentId, Notional, StrategyId, UnixNanos, VenueId};

/// Halts shown; more are counted.
pub const HALTS_SHOWN: usize = 8;
/// Positions of strategies a lane shows, one for each instrument of each; more are not shown.
pub const PARTS_MAX: usize = 256;

/// One lane's standing towards its limits. Read it with [`Twin::read`], write it with [`Twin::write`].
pub type RiskLine = Twin<RiskState, 31>;
/// What one strategy holds of one instrument. As [`RiskLine`].
pub type PartLine = Twin<PartState, 18>;

/// What is halted until a named person resumes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HaltNote {
    /// Where.
    pub venue: VenueId,
    /// What; `None` = the whole venue.
    pub instrument: Option<InstrumentId>,
    /// `dp_risk`'s number of the rule that tripped.
    pub rule: u8,
}

impl HaltNote {
    fn to_word(self) -> u64 {
        let instrument = self
            .instrument
            .map_or(0, |id| 1 << 16 | u64::from(id.0) << 32);
        u64::from(self.venue.0) | u64::from(self.rule) << 8 | instrument
    }

    fn from_word(word: u64) -> Option<Self> {
        let [venue, rule, has_instrument, ..] = word.to_le_bytes();
        (venue != 0).then(|| Self {
            venue: VenueId(venue),
            instrument: (has_instrument & 1 != 0).then_some(InstrumentId((word >> 32) as u32)),
            rule,
        })
    }
}

/// Equity, exposure and orders of one lane beside what they may be. Money: reporting currency; a limit of 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RiskState {
    /// The reporting currency; `None` = none is named, and money is not watched.
    pub currency: Option<AssetId>,
    /// What everything held is worth is known; without that equity is that of the last time it was.
    pub is_counted: bool,
    /// Realised + unrealised + funding - fees of everything.
    pub equity: Notional,
    /// Equity at midnight UTC.
    pub at_midnight: Notional,
    /// The highest equity since the drawdown was last reset.
    pub highest: Notional,
    /// Largest loss since midnight.
    pub day_loss_max: Notional,
    /// Largest fall from the highest.
    pub drawdown_max: Notional,
    /// Everything held and working, each instrument by itself.
    pub gross: Notional,
    /// The most that may be.
    pub gross_max: Notional,
    /// The currency nearest to its limit, or with the largest exposure where none is limited.
    pub top: Option<AssetId>,
    /// Exposure in it, signed.
    pub top_exposure: Notional,
    /// The most that may be.
    pub top_max: Notional,
    /// New orders and amends of the last second.
    pub orders_used: u32,
    /// The most that may be.
    pub orders_max: u32,
    /// Halts, the oldest first.
    pub halts: [Option<HaltNote>; HALTS_SHOWN],
    /// How many there are.
    pub halts_count: u32,
    /// When.
    pub updated: UnixNanos,
}

const NO_ASSET: u64 = u16::MAX as u64;

fn asset_word(asset: Option<AssetId>) -> u64 {
    asset.map_or(NO_ASSET, |asset| u64::from(asset.0))
}

fn asset_of(word: u64) -> Option<AssetId> {
    (word & NO_ASSET != NO_ASSET).then_some(AssetId(word as u16))
}

impl Words<31> for RiskState {
    fn to_words(&self) -> [u64; 31] {
        let mut words = [0; 31];
        words[0] = asset_word(self.currency)
            | asset_word(self.top) << 16
            | u64::from(self.halts_count.min(u32::from(u16::MAX))) << 32
            | u64::from(self.is_counted) << 48;
        words[1] = u64::from(self.orders_used) | u64::from(self.orders_max) << 32;
        words[2] = self.updated.0;
        for (pair, amount) in words[3..23].chunks_exact_mut(2).zip(self.money()) {
            pair.copy_from_slice(&split(amount.0));
        }
        for (word, halt) in words[23..].iter_mut().zip(self.halts) {
            *word = halt.map_or(0, HaltNote::to_word);
        }
        words
    }

    fn from_words(words: &[u64; 31]) -> Option<Self> {
        let money = |at: usize| Notional(join(words[3 + 2 * at], words[4 + 2 * at]));
        Some(Self {
            currency: asset_of(words[0]),
            top: asset_of(words[0] >> 16),
            halts_count: u32::from((words[0] >> 32) as u16),
            is_counted: words[0] >> 48 & 1 != 0,
            orders_used: words[1] as u32,
            orders_max: (words[1] >> 32) as u32,
            updated: UnixNanos(words[2]),
            equity: money(0),
            at_midnight: money(1),
            highest: money(2),
            day_loss_max: money(3),
            drawdown_max: money(4),
            gross: money(5),
            gross_max: money(6),
            top_exposure: money(7),
            top_max: money(8),
            halts: core::array::from_fn(|at| HaltNote::from_word(words[23 + at])),
        })
    }
}

impl RiskState {
    /// In the order of the words; the last is spare.
    const fn money(&self) -> [Notional; 10] {
        [
            self.equity,
            self.at_midnight,
            self.highest,
            self.day_loss_max,
            self.drawdown_max,
            self.gross,
            self.gross_max,
            self.top_exposure,
            self.top_max,
            Notional(0),
        ]
    }
}

/// What one strategy holds of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartState {
    /// Whose; [`StrategyId::NOBODY`]: corrections by a venue's word.
    pub strategy: StrategyId,
    /// Of what.
    pub instrument: InstrumentId,
    /// How much, and what it made.
    pub state: PositionState,
}

impl Words<18> for PartState {
    fn to_words(&self) -> [u64; 18] {
        let mut words = [0; 18];
        words[..17].copy_from_slice(&self.state.to_words());
        words[17] = u64::from(self.strategy.0) | u64::from(self.instrument.0) << 32;
        words
    }

    fn from_words(words: &[u64; 18]) -> Option<Self> {
        let [state @ .., names] = words;
        Some(Self {
            strategy: StrategyId(*names as u16),
            instrument: InstrumentId((*names >> 32) as u32),
            state: PositionState::from_words(state)?,
        })
    }
}
