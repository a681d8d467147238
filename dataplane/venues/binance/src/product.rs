//! The venue's products, and what is known of each as data: paths, limits, streams. What they do differently is in
//! `usdm`, or said where it is done.
//!
//! ```text
//!            REST       order link                     market data                   our own orders
//! spot       /api/v3    /ws-api/v3                     /stream                       the order link
//! USD-M      /fapi      /ws-fapi/v1                    /public/stream                a link of their own
//! ```
//! Source: venue page, sections 1 and 9, read 2026-11-22.

use core::ops::Deref;
use dp_types::{InstrumentId, OrderKind, RejectReason, Tif, VenueId};
use dp_venue_api::Registry;

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;
const DAY_NS: u64 = 86_400 * SECOND_NS;

/// A product of the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Product {
    /// Spot.
    #[default]
    Spot,
    /// Perpetuals and dated futures with margin in USDT or USDC.
    Usdm,
}

/// What is asked over REST.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paths {
    pub(crate) rules: &'static str,
    pub(crate) depth: &'static str,
    pub(crate) order: &'static str,
    pub(crate) open_orders: &'static str,
    pub(crate) trades: &'static str,
    pub(crate) account: &'static str,
}

/// What each question weighs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    pub(crate) rules: u32,
    pub(crate) depth: u32,
    pub(crate) order: u32,
    pub(crate) open_orders: u32,
    pub(crate) trades: u32,
    pub(crate) order_trades: u32,
    pub(crate) account: u32,
}

/// A product's limits until the venue has told its own: weight in a minute, orders in two windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) weight: u32,
    pub(crate) orders: [(u32, u64); 2],
}

impl Product {
    /// The product that is this venue in configuration.
    pub(crate) const fn of(venue: VenueId) -> Self {
        if venue.0 == VenueId::BINANCE_USDM.0 {
            Self::Usdm
        } else {
            Self::Spot
        }
    }

    /// The venue of this product in configuration.
    pub const fn id(self) -> VenueId {
        match self {
            Self::Spot => VenueId::BINANCE,
            Self::Usdm => VenueId::BINANCE_USDM,
        }
    }

    pub(crate) const fn paths(self) -> &'static Paths {
        match self {
            Self::Spot => &Paths {
                rules: "/api/v3/exchangeInfo",
                depth: "/api/v3/depth",
                order: "/api/v3/order",
                open_orders: "/api/v3/openOrders",
                trades: "/api/v3/myTrades",
                account: "/api/v3/account",
            },
            Self::Usdm => &Paths {
                rules: "/fapi/v1/exchangeInfo",
                depth: "/fapi/v1/depth",
                order: "/fapi/v1/order",
                open_orders: "/fapi/v1/openOrders",
                trades: "/fapi/v1/userTrades",
                account: "/fapi/v3/balance",
            },
        }
    }

    pub(crate) const fn weights(self) -> &'static Weights {
        match self {
            Self::Spot => &Weights {
                rules: 20,
                depth: 50,
                order: 4,
                open_orders: 80,
                trades: 20,
                order_trades: 5,
                account: 20,
            },
            Self::Usdm => &Weights {
                rules: 1,
                depth: 20,
                order: 1,
                open_orders: 40,
                trades: 5,
                order_trades: 5,
                account: 5,
            },
        }
    }

    pub(crate) const fn allowed(self) -> Allowed {
        match self {
            Self::Spot => Allowed {
                weight: 6_000,
                orders: [(50, 10 * SECOND_NS), (160_000, DAY_NS)],
            },
            Self::Usdm => Allowed {
                weight: 2_400,
                orders: [(300, 10 * SECOND_NS), (1_200, MINUTE_NS)],
            },
        }
    }

    /// Where the order link is opened.
    pub(crate) const fn orders_path(self) -> &'static str {
        match self {
            Self::Spot => "/ws-api/v3?returnRateLimits=true",
            Self::Usdm => "/ws-fapi/v1?returnRateLimits=true",
        }
    }

    /// Where market data is opened; the streams follow.
    pub(crate) const fn streams_path(self) -> &'static str {
        match self {
            Self::Spot => "/stream?streams=",
            Self::Usdm => "/public/stream?streams=",
        }
    }

    /// Type and time in force. What must not take is a type of its own on spot, a time in force on futures.
    pub(crate) const fn words(
        self,
        kind: OrderKind,
        tif: Tif,
    ) -> (&'static str, Option<&'static str>) {
        match (kind, self) {
            (OrderKind::Market, _) => ("MARKET", None),
            (OrderKind::PostOnly, Self::Spot) => ("LIMIT_MAKER", None),
            (OrderKind::PostOnly, Self::Usdm) => ("LIMIT", Some("GTX")),
            (OrderKind::Limit, _) => (
                "LIMIT",
                Some(match tif {
                    Tif::Gtc => "GTC",
                    Tif::Ioc => "IOC",
                    Tif::Fok => "FOK",
                }),
            ),
        }
    }

    /// Our name for an error code and its message; 0 is success.
    pub(crate) fn reason(self, code: i32, message: &str) -> RejectReason {
        match self {
            Self::Spot => crate::reject::reason(code, message),
            Self::Usdm => crate::usdm::reject::reason(code, message),
        }
    }
}

/// The registry as one product sees it: `BTCUSDT` is another instrument in each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Market<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) product: Product,
}

impl Market<'_> {
    /// The product's instrument of this symbol.
    #[inline]
    pub(crate) fn listed(&self, symbol: &[u8]) -> Option<InstrumentId> {
        self.registry.find(self.product.id(), symbol)
    }
}

impl Deref for Market<'_> {
    type Target = Registry;

    #[inline]
    fn deref(&self) -> &Registry {
        self.registry
    }
}
