//! What one has of an asset at a venue, by the venue's word and by ours: lines of a lane beside its positions.
//!
//! Writer of a line: its lane. Readers: the control plane, the CLI, and the next run, which takes up what the fills of
//! this one came to.

use crate::twin::{Twin, Words, join, split};
use dp_types::{AssetId, LaneId, Notional, UnixNanos, VenueId};

/// Balances a lane keeps, one for each asset of each venue; more are neither shown nor compared.
pub const BALANCES_MAX: usize = 128;

/// One asset at one venue. Read it with [`Twin::read`], write it with [`Twin::write`].
pub type BalanceLine = Twin<BalanceState, 15>;

/// What one has of an asset at a venue. Amounts in 10⁻¹² of the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BalanceState {
    /// Where; 0: the line is free.
    pub venue: VenueId,
    /// Of what.
    pub asset: AssetId,
    /// The lane that counts it.
    pub lane: LaneId,
    /// What it is by the venue's word at first and our fills since; `None`: not known yet.
    pub ours: Option<Notional>,
    /// By the venue's latest word, free and held by orders; `None`: not told yet in this run.
    pub theirs: Option<Notional>,
    /// Of that, held by orders; 0 where the venue does not tell them apart.
    pub locked: Notional,
    /// How far the two may be apart, by the configuration.
    pub tolerance: Notional,
    /// What fills moved since the two were the same, whichever way.
    pub turnover: Notional,
    /// The two are compared: spot alone. What a derivative is settled in moves with prices.
    pub is_compared: bool,
    /// They differed when they were compared last.
    pub differs: bool,
    /// When the venue told it.
    pub told: UnixNanos,
    /// Our latest fill in it; 0: none.
    pub moved: UnixNanos,
    /// One past the lane's last journal record folded in.
    pub journal_seq: u64,
    /// When.
    pub updated: UnixNanos,
}

impl Words<15> for BalanceState {
    fn to_words(&self) -> [u64; 15] {
        let flags = u64::from(self.ours.is_some())
            | u64::from(self.theirs.is_some()) << 1
            | u64::from(self.is_compared) << 2
            | u64::from(self.differs) << 3;
        let mut words = [0; 15];
        words[0] = u64::from(self.asset.0)
            | u64::from(self.venue.0) << 16
            | u64::from(self.lane.0) << 24
            | flags << 32;
        let money = [
            self.ours.unwrap_or_default(),
            self.theirs.unwrap_or_default(),
            self.locked,
            self.tolerance,
            self.turnover,
        ];
        for (pair, amount) in words[1..11].chunks_exact_mut(2).zip(money) {
            pair.copy_from_slice(&split(amount.0));
        }
        words[11] = self.told.0;
        words[12] = self.moved.0;
        words[13] = self.journal_seq;
        words[14] = self.updated.0;
        words
    }

    fn from_words(words: &[u64; 15]) -> Option<Self> {
        let flag = |bit: u32| words[0] >> (32 + bit) & 1 != 0;
        let money = |at: usize| Notional(join(words[1 + 2 * at], words[2 + 2 * at]));
        Some(Self {
            asset: AssetId(words[0] as u16),
            venue: VenueId((words[0] >> 16) as u8),
            lane: LaneId((words[0] >> 24) as u8),
            ours: flag(0).then(|| money(0)),
            theirs: flag(1).then(|| money(1)),
            locked: money(2),
            tolerance: money(3),
            turnover: money(4),
            is_compared: flag(2),
            differs: flag(3),
            told: UnixNanos(words[11]),
            moved: UnixNanos(words[12]),
            journal_seq: words[13],
            updated: UnixNanos(words[14]),
        })
    }
}

impl BalanceState {
    /// What the venue has beyond ours; `None`: one of the two is not known.
    pub fn beyond(&self) -> Option<Notional> {
        let (ours, theirs) = (self.ours?, self.theirs?);
        theirs.0.checked_sub(ours.0).map(Notional)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back() {
        let state = BalanceState {
            venue: VenueId::OKX,
            asset: AssetId(9),
            lane: LaneId(3),
            ours: Some(Notional(-7)),
            theirs: None,
            locked: Notional(1 << 80),
            tolerance: Notional(5),
            turnover: Notional(i128::MAX),
            is_compared: true,
            differs: false,
            told: UnixNanos(1),
            moved: UnixNanos(2),
            journal_seq: 3,
            updated: UnixNanos(4),
        };
        assert_eq!(BalanceState::from_words(&state.to_words()), Some(state));
        assert_eq!(state.beyond(), None);
        let told = BalanceState {
            theirs: Some(Notional(3)),
            differs: true,
            ..state
        };
        assert_eq!(BalanceState::from_words(&told.to_words()), Some(told));
        assert_eq!(told.beyond(), Some(Notional(10)));
    }
}
