//! An instrument's rules, the fees, and the figures of its day.

use super::order::{Amount, Side, Trade};

/// One instrument's rules. Increments are 10^-decimals; the two decimals add up to at most 12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Base asset, upper case.
    pub base: String,
    /// Quote asset, upper case.
    pub quote: String,
    /// Index of the base asset in the ledger.
    pub base_asset: usize,
    /// Index of the quote asset in the ledger.
    pub quote_asset: usize,
    /// Decimals of a price increment.
    pub price_decimals: u8,
    /// Decimals of a quantity increment.
    pub qty_decimals: u8,
    /// Price step in increments.
    pub tick: i64,
    /// Quantity step in increments.
    pub lot: i64,
    /// Smallest order in increments.
    pub qty_min: i64,
    /// Largest order in increments.
    pub qty_max: i64,
    /// Smallest order value in quote; 0 = no rule.
    pub notional_min: Amount,
    /// Price the flow starts around, in increments.
    pub price_start: i64,
    /// A linear perpetual: nothing is delivered, orders hold margin in the quote asset, fills move a
    /// [`Position`](super::Position).
    pub is_contract: bool,
}

/// Part of a contract's value an order holds as margin: a tenth.
const MARGIN: Amount = 10;

impl Spec {
    /// Value of `qty` at `price` in the quote asset; `None` on overflow.
    pub fn notional(&self, price: i64, qty: i64) -> Option<Amount> {
        let scale = 12u32.checked_sub(u32::from(self.price_decimals + self.qty_decimals))?;
        i128::from(price)
            .checked_mul(i128::from(qty))?
            .checked_mul(10i128.pow(scale))
    }

    /// `qty` as an amount of the base asset.
    pub fn base_amount(&self, qty: i64) -> Amount {
        i128::from(qty) * 10i128.pow(12 - u32::from(self.qty_decimals))
    }

    /// What an order for `qty` at `price` holds of the asset it pays with; `None` on overflow.
    pub(super) fn hold(&self, side: Side, price: i64, qty: i64) -> Option<Amount> {
        match (self.is_contract, side) {
            (true, _) => Some(self.notional(price, qty)? / MARGIN),
            (false, Side::Buy) => self.notional(price, qty),
            (false, Side::Sell) => Some(self.base_amount(qty)),
        }
    }

    /// What an order that takes `cost` at once holds.
    pub(super) fn hold_taken(&self, cost: Amount) -> Amount {
        if self.is_contract {
            cost / MARGIN
        } else {
            cost
        }
    }

    /// The asset an order pays with.
    pub(super) fn paid_asset(&self, side: Side) -> usize {
        match side {
            Side::Sell if !self.is_contract => self.base_asset,
            _ => self.quote_asset,
        }
    }

    /// Most lots a quote budget buys at `price`, in increments.
    pub(super) fn affordable(&self, budget: Amount, price: i64) -> i64 {
        let lot_value = self.notional(price, self.lot).unwrap_or(Amount::MAX);
        if lot_value <= 0 {
            return 0;
        }
        i64::try_from(budget / lot_value)
            .unwrap_or(i64::MAX)
            .saturating_mul(self.lot)
    }
}

/// Fee rates in parts per million, and the decimals fees are cut to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// For resting orders.
    pub maker_ppm: i64,
    /// For taking orders.
    pub taker_ppm: i64,
    /// Fees are rounded down to this many decimals, at most 12.
    pub decimals: u8,
    /// Charged in the quote asset on either side, instead of in the asset received. Contracts always are.
    pub in_quote: bool,
}

/// The ids before the first ones given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FirstIds {
    /// Of orders.
    pub order: u64,
    /// Of trades.
    pub trade: u64,
    /// Of level changes, for each instrument.
    pub update: u64,
}

/// Last day's figures of an instrument, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Day {
    /// First, highest, lowest and last price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub last: i64,
    /// Last quantity.
    pub last_qty: i64,
    /// Volume in base increments.
    pub volume: i64,
    /// Volume in quote.
    pub quote_volume: Amount,
    /// First trade id, 0 before the first.
    pub first_trade: u64,
    /// Last trade id.
    pub last_trade: u64,
    /// Number of trades.
    pub count: u64,
}

impl Fees {
    /// The fee on an amount received.
    pub(super) fn of(self, received: Amount, is_maker: bool) -> Amount {
        let ppm = if is_maker {
            self.maker_ppm
        } else {
            self.taker_ppm
        };
        let grain = 10i128.pow(12 - u32::from(self.decimals.min(12)));
        received * i128::from(ppm) / 1_000_000 / grain * grain
    }
}

impl Day {
    /// Counts a trade.
    pub(super) fn print(&mut self, trade: &Trade, cost: Amount) {
        if self.count == 0 {
            self.first_trade = trade.id;
        }
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.last = trade.price;
        self.last_qty = trade.qty;
        self.volume = self.volume.saturating_add(trade.qty);
        self.quote_volume = self.quote_volume.saturating_add(cost);
        self.last_trade = trade.id;
        self.count += 1;
    }
}
