//! The books of one lane: a keeper per instrument, by whichever rule its venue has.

use dp_book::{Book, Keeper, Outcome, Proof};
use dp_types::{BookMsg, Instrument, UnixNanos, VenueId};
use dp_venue_binance::sync::BinanceSync;
use dp_venue_okx::sync::OkxSync;

/// A keeper under its venue's rule: a match instead of a virtual call.
#[derive(Debug)]
pub enum AnyKeeper {
    /// Binance.
    Binance(Keeper<BinanceSync>),
    /// OKX.
    Okx(Keeper<OkxSync>),
}

macro_rules! each {
    ($self:expr, $keeper:ident => $call:expr) => {
        match $self {
            AnyKeeper::Binance($keeper) => $call,
            AnyKeeper::Okx($keeper) => $call,
        }
    };
}

impl AnyKeeper {
    /// The keeper for an instrument; `None` when this build has no rule for its venue.
    pub fn new(instrument: &Instrument) -> Option<Self> {
        Some(match instrument.venue {
            VenueId::BINANCE => Self::Binance(Keeper::new(BinanceSync)),
            VenueId::OKX => Self::Okx(Keeper::new(OkxSync::new(instrument))),
            _ => return None,
        })
    }

    /// As [`Keeper::on_msg`].
    #[inline]
    pub fn on_msg(
        &mut self,
        msg: &BookMsg<'_>,
        instrument: &Instrument,
        now: UnixNanos,
    ) -> Outcome {
        each!(self, keeper => keeper.on_msg(msg, instrument, now))
    }

    /// As [`Keeper::reset`].
    pub fn reset(&mut self) {
        each!(self, keeper => keeper.reset());
    }

    /// As [`Keeper::book`].
    #[inline]
    pub fn book(&self) -> &Book {
        each!(self, keeper => keeper.book())
    }

    /// As [`Keeper::proof`].
    #[inline]
    pub fn proof(&self) -> Proof {
        each!(self, keeper => keeper.proof())
    }
}
