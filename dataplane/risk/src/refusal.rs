//! Why the gate refused: one flat list, stable codes for the `risk_events` table.

use dp_types::{AssetId, InstrumentFault};

/// What the numbers of a refusal are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Counts, basis points, nanoseconds or ids: as they are.
    Plain,
    /// Quantity increments of the instrument.
    Qty,
    /// Price increments of the instrument.
    Price,
    /// Hundredths of the reporting currency.
    Money,
    /// 10^-8 of an asset.
    Amount,
}

/// Why an order or amend may not leave. Numbers are in the units of the field's name; `observed` is
/// what the order would have led to, `limit` what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The kill switch is on.
    #[error("the kill switch is on")]
    Killed,
    /// The right to trade has lapsed or was never held.
    #[error("the lease lapsed at {until_ns}, now is {now_ns}")]
    LeaseLapsed {
        /// Now, Unix ns.
        now_ns: u64,
        /// Held until, Unix ns; 0 = never.
        until_ns: u64,
    },
    /// The order's id names another epoch than the one we hold.
    #[error("epoch {epoch} is stale; epoch {held} holds the lease")]
    StaleEpoch {
        /// In the order's id.
        epoch: u16,
        /// Held now.
        held: u16,
    },
    /// Orders or positions do not yet agree with the venue's.
    #[error("the venue is not reconciled")]
    Unreconciled,
    /// The instrument has no limits, so it cannot trade.
    #[error("instrument {instrument} has no limits")]
    NoLimits {
        /// Which.
        instrument: u32,
    },
    /// The book's sequence or checksum is broken.
    #[error("the book is not proven")]
    BookUnproven,
    /// The book has been silent for too long, or is stamped later than now.
    #[error("the book is {age_ns} ns old, over {limit_ns} ns")]
    BookStale {
        /// Age, ns.
        age_ns: u64,
        /// Allowed, ns.
        limit_ns: u64,
    },
    /// The book has no two-sided, uncrossed quote to compare a price with.
    #[error("the book has no reference price")]
    NoReference,
    /// One of the venue's rules for the instrument is broken.
    #[error("instrument rule broken: {0:?}")]
    Instrument(InstrumentFault),
    /// One order is too large.
    #[error("order of {qty} exceeds the limit of {limit} increments")]
    OrderQty {
        /// Asked for, increments.
        qty: i64,
        /// Allowed, increments.
        limit: i64,
    },
    /// Too far from the mid price.
    #[error("price is {bps} basis points from mid, over {limit_bps}")]
    Collar {
        /// Distance, basis points, rounded up.
        bps: i64,
        /// Allowed.
        limit_bps: u32,
    },
    /// Position and everything working on that side would exceed the limit.
    #[error("exposure of {exposure} exceeds the limit of {limit} increments")]
    Position {
        /// Worst case, increments, signed; clamped to 64 bits.
        exposure: i64,
        /// Allowed, increments.
        limit: i64,
    },
    /// It could trade with one of our own orders.
    #[error("price {price} would cross our own order at {own}")]
    SelfTrade {
        /// Ours to be, increments; for a market order the best price on the other side.
        price: i64,
        /// Resting, increments.
        own: i64,
    },
    /// Too many new orders and amends.
    #[error("over {limit} new orders and amends a second")]
    Rate {
        /// Allowed a second.
        limit: u32,
    },
    /// A watch has halted the instrument or its venue.
    #[error("halted until a named person resumes it")]
    Halted,
    /// Money is limited, and what this asset is worth in the reporting currency is not known.
    #[error("{}", unknown_worth(*.asset))]
    NoRate {
        /// Which; [`dp_types::AssetId::NONE`]: of an instrument held since an earlier run, whose rules are not known yet.
        asset: u16,
    },
    /// Everything held and working, all instruments together.
    #[error(
        "exposure of {exposure} exceeds the limit of {limit} hundredths of the reporting currency"
    )]
    Exposure {
        /// Worst case, hundredths; clamped to 64 bits.
        exposure: i64,
        /// Allowed, hundredths.
        limit: i64,
    },
    /// Everything held and working in one currency, over all venues.
    #[error(
        "exposure of {exposure} in asset {asset} exceeds the limit of {limit} hundredths of the reporting currency"
    )]
    Currency {
        /// Which.
        asset: u16,
        /// Worst case, signed hundredths; clamped to 64 bits.
        exposure: i64,
        /// Allowed, hundredths.
        limit: i64,
    },
    /// One order is worth too much, at the mid.
    #[error(
        "order worth {value} exceeds the limit of {limit} hundredths of the reporting currency"
    )]
    OrderValue {
        /// Worth, hundredths; clamped to 64 bits.
        value: i64,
        /// Allowed, hundredths.
        limit: i64,
    },
}

fn unknown_worth(asset: u16) -> String {
    if asset == AssetId::NONE.0 {
        "the worth of what an earlier run left is not known yet".into()
    } else {
        format!("the worth of asset {asset} is not known")
    }
}

impl Refusal {
    /// One of each, by number (tables, tests and metric names iterate it): a number once given stays.
    pub const NAMES: [&'static str; 19] = [
        "killed",
        "lease_lapsed",
        "stale_epoch",
        "unreconciled",
        "no_limits",
        "book_unproven",
        "book_stale",
        "no_reference",
        "instrument_rule",
        "order_qty",
        "collar",
        "position",
        "self_trade",
        "rate",
        "halted",
        "no_rate",
        "exposure",
        "currency_exposure",
        "order_value",
    ];

    /// Stable number on disk: 1 + the place in [`Refusal::NAMES`].
    pub const fn code(self) -> u8 {
        match self {
            Self::Killed => 1,
            Self::LeaseLapsed { .. } => 2,
            Self::StaleEpoch { .. } => 3,
            Self::Unreconciled => 4,
            Self::NoLimits { .. } => 5,
            Self::BookUnproven => 6,
            Self::BookStale { .. } => 7,
            Self::NoReference => 8,
            Self::Instrument(_) => 9,
            Self::OrderQty { .. } => 10,
            Self::Collar { .. } => 11,
            Self::Position { .. } => 12,
            Self::SelfTrade { .. } => 13,
            Self::Rate { .. } => 14,
            Self::Halted => 15,
            Self::NoRate { .. } => 16,
            Self::Exposure { .. } => 17,
            Self::Currency { .. } => 18,
            Self::OrderValue { .. } => 19,
        }
    }

    /// The word in the database and on the command line.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.code() as usize - 1]
    }

    /// The word for a number on disk; `None` when no version of this crate wrote it.
    pub fn name_of(code: u8) -> Option<&'static str> {
        Self::NAMES.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// What [`Refusal::numbers`] of the rule with this number on disk are.
    pub const fn unit_of(code: u8) -> Unit {
        match code {
            10 | 12 => Unit::Qty,
            13 => Unit::Price,
            17..=19 => Unit::Money,
            _ => Unit::Plain,
        }
    }

    /// `(observed, limit)` for the database, saturating to 64 bits; 0 where there is no number.
    pub fn numbers(self) -> (i64, i64) {
        let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        match self {
            Self::Killed
            | Self::Unreconciled
            | Self::BookUnproven
            | Self::NoReference
            | Self::Halted => (0, 0),
            Self::NoRate { asset } => (asset.into(), 0),
            Self::Exposure { exposure, limit }
            | Self::Currency {
                exposure, limit, ..
            } => (exposure, limit),
            Self::LeaseLapsed { now_ns, until_ns } => (clamp(now_ns), clamp(until_ns)),
            Self::StaleEpoch { epoch, held } => (epoch.into(), held.into()),
            Self::NoLimits { instrument } => (instrument.into(), 0),
            Self::BookStale { age_ns, limit_ns } => (clamp(age_ns), clamp(limit_ns)),
            Self::Instrument(fault) => (fault as i64, 0),
            Self::OrderQty { qty, limit } => (qty, limit),
            Self::OrderValue { value, limit } => (value, limit),
            Self::Collar { bps, limit_bps } => (bps, limit_bps.into()),
            Self::Position { exposure, limit } => (exposure, limit),
            Self::SelfTrade { price, own } => (price, own),
            Self::Rate { limit } => (0, limit.into()),
        }
    }
}
