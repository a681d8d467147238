//! The books of one lane: one per instrument out of all its feeds, by whichever rule its venue has.

use crate::any_venue::for_venues;
use dp_book::{Book, Counts, FeedCounts, FeedPlan, Feeds, Loss, Proof, Taken};
use dp_types::{BookMsg, Instrument, UnixNanos, VenueId};

macro_rules! define {
    ([] $(($name:ident, $krate:ident, $rule:ident, $id:ident))*) => {
        /// A book under its venue's rule: a match instead of a virtual call.
        #[derive(Debug)]
        pub enum AnyKeeper {
            $(
                #[doc = stringify!($name)]
                $name(Feeds<$krate::sync::$rule>),
            )*
        }

        impl AnyKeeper {
            /// The book of an instrument, empty; `None` when this build has no rule for its venue.
            pub fn new(instrument: &Instrument, plan: FeedPlan) -> Option<Self> {
                Some(match instrument.venue {
                    $(VenueId::$id => {
                        Self::$name(Feeds::new($krate::sync::$rule::new(instrument), plan))
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
    /// As [`Feeds::on_msg`].
    #[inline]
    pub fn on_msg(
        &mut self,
        feed: usize,
        msg: &BookMsg<'_>,
        instrument: &Instrument,
        times: (UnixNanos, UnixNanos),
    ) -> Taken {
        each!(self, keeper => keeper.on_msg(feed, msg, instrument, times))
    }

    /// As [`Feeds::on_time`].
    pub fn on_time(&mut self, instrument: &Instrument, now: UnixNanos) -> Option<Taken> {
        each!(self, keeper => keeper.on_time(instrument, now))
    }

    /// As [`Feeds::lose`].
    pub fn lose(&mut self, feed: usize) -> Loss {
        each!(self, keeper => keeper.lose(feed))
    }

    /// As [`Feeds::feed_counts`].
    pub fn feed_counts(&self) -> Option<FeedCounts> {
        each!(self, keeper => keeper.feed_counts())
    }

    /// As [`Feeds::ready`].
    pub fn feeds_ready(&self) -> Option<usize> {
        each!(self, keeper => keeper.ready())
    }

    /// As [`Feeds::book`].
    #[inline]
    pub fn book(&self) -> &Book {
        each!(self, keeper => keeper.book())
    }

    /// As [`Feeds::proof`].
    #[inline]
    pub fn proof(&self) -> Proof {
        each!(self, keeper => keeper.proof())
    }

    /// As [`Keeper::counts`].
    pub fn counts(&self) -> Counts {
        each!(self, keeper => keeper.counts())
    }
}
