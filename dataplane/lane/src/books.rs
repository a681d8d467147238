//! The books of one lane: a keeper per instrument, by whichever rule its venue has.

use crate::any_venue::for_venues;
use dp_book::{Book, Keeper, Outcome, Proof};
use dp_types::{BookMsg, Instrument, UnixNanos, VenueId};

macro_rules! define {
    ([] $(($name:ident, $krate:ident, $rule:ident, $id:ident))*) => {
        /// A keeper under its venue's rule: a match instead of a virtual call.
        #[derive(Debug)]
        pub enum AnyKeeper {
            $(
                #[doc = stringify!($name)]
                $name(Keeper<$krate::sync::$rule>),
            )*
        }

        impl AnyKeeper {
            /// The keeper for an instrument; `None` when this build has no rule for its venue.
            pub fn new(instrument: &Instrument) -> Option<Self> {
                Some(match instrument.venue {
                    $(VenueId::$id => {
                        Self::$name(Keeper::new($krate::sync::$rule::new(instrument)))
                    })*
                    _ => return None,
                })
            }
        }
    };
}
for_venues!(define);

macro_rules! each {
    ($self:ident, $keeper:ident => $run:expr) => {
        for_venues!(pick $self $keeper $run)
    };
}

macro_rules! pick {
    (
        [$self:ident $keeper:ident $run:expr]
        $(($name:ident, $krate:ident, $rule:ident, $id:ident))*
    ) => {
        match $self {
            $(AnyKeeper::$name($keeper) => $run,)*
        }
    };
}

impl AnyKeeper {
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
