//! The books of single orders of one lane: one per instrument that was asked for, by whichever rule its venue has.

use dp_book::{OrdersKeeper, Outcome};
use dp_config::{Config, MulticastFeed, Role};
use dp_strategy::OrdersView;
use dp_types::{Instrument, L3Msg, UnixNanos, VenueId};
use dp_venue_api::SingleOrders;
use dp_venue_bitfinex::sync::BitfinexSync;
use dp_venue_coinbase::sync::CoinbaseSync;
use dp_venue_deribit::sync::DeribitSync;
use dp_venue_kraken::sync::KrakenSync;

/// The venues whose single orders we follow, once: calls a macro with its own arguments and, for each, the variant, its
/// rule, its id and its crate.
macro_rules! for_rules {
    ($call:ident $($argument:tt)*) => {
        $call! {
            [$($argument)*]
            (Bitfinex, BitfinexSync, BITFINEX, dp_venue_bitfinex)
            (Coinbase, CoinbaseSync, COINBASE, dp_venue_coinbase)
            (Deribit, DeribitSync, DERIBIT, dp_venue_deribit)
            (Kraken, KrakenSync, KRAKEN, dp_venue_kraken)
        }
    };
}

macro_rules! define {
    ([] $(($name:ident, $rule:ident, $id:ident, $krate:ident))*) => {
        /// A book of single orders under its venue's rule.
        #[derive(Debug)]
        pub enum AnyOrders {
            $(
                #[doc = stringify!($name)]
                $name(OrdersKeeper<$rule>),
            )*
        }

        impl AnyOrders {
            /// The book of an instrument, empty, with room for `orders_max` orders; `None` where its venue shows none.
            pub fn new(instrument: &Instrument, orders_max: usize) -> Option<Self> {
                Some(match instrument.venue {
                    $(VenueId::$id => {
                        Self::$name(OrdersKeeper::new($rule::new(instrument), orders_max))
                    })*
                    _ => return None,
                })
            }

            /// Whether a venue shows single orders, and to whom.
            pub const fn shown(venue: VenueId) -> SingleOrders {
                match venue {
                    $(VenueId::$id => $krate::CAPABILITIES.single_orders,)*
                    _ => SingleOrders::None,
                }
            }
        }
    };
}
for_rules!(define);

macro_rules! pick {
    (
        [$self:ident $keeper:ident $run:expr]
        $(($name:ident, $rule:ident, $id:ident, $krate:ident))*
    ) => {
        match $self {
            $(AnyOrders::$name($keeper) => $run,)*
        }
    };
}

macro_rules! each {
    ($self:ident, $keeper:ident => $run:expr) => {
        for_rules!(pick $self $keeper $run)
    };
}

impl AnyOrders {
    /// As [`OrdersKeeper::on_msg`].
    pub fn on_msg(&mut self, msg: &L3Msg<'_>, instrument: &Instrument, now: UnixNanos) -> Outcome {
        each!(self, keeper => keeper.on_msg(msg, instrument, now))
    }

    /// As [`OrdersKeeper::reset`].
    pub fn reset(&mut self) {
        each!(self, keeper => keeper.reset());
    }

    /// What strategies are shown of it.
    pub fn view(&self) -> OrdersView<'_> {
        each!(self, keeper => OrdersView {
            book: keeper.book(),
            proof: keeper.proof(),
        })
    }
}

/// Whether single orders can be followed wherever the configuration asks for them. Errors: a line with the mend for
/// each venue where they cannot.
pub fn check(config: &Config) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (name, section) in &config.venue {
        if section.single_orders.is_empty() {
            continue;
        }
        let shown = VenueId::from_name(name).map_or(SingleOrders::None, AnyOrders::shown);
        let feeds = config.lanes_of(Role::Feed, name);
        let why = match shown {
            SingleOrders::None => "this venue shows none; leave the key out",
            SingleOrders::Keyed if section.keys_file.is_none() => {
                "this venue shows them to who has keys; name a keys_file"
            }
            SingleOrders::Multicast
                if section.multicast_feed() != Some(MulticastFeed::Starbase) =>
            {
                "this venue shows them by multicast alone; name Starbase's groups in multicast with feed = \"starbase\""
            }
            _ if feeds != config.lanes_of(Role::Engine, name) => {
                "they are kept in the lane that hears them; give the venue's feed and engine one lane"
            }
            SingleOrders::Keyed if feeds != config.lanes_of(Role::Gateway, name) => {
                "this venue shows them to who has keys; give the venue's feed and gateway one lane"
            }
            _ => continue,
        };
        wrong.push(format!("venue.{name}.single_orders: {why}"));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnyVenue;
    use dp_types::{InstrumentId, Text};
    use dp_venue_api::{Registry, Venue as _, VenueConfig};

    #[test]
    fn a_venue_that_says_it_shows_them_has_a_rule_and_no_other() {
        for id in (0..=u8::MAX).map(VenueId) {
            let made = AnyVenue::new(id, VenueConfig::default(), &mut Registry::new());
            let Some(machine) = made.expect("no symbols") else {
                continue;
            };
            let says = machine.capabilities().single_orders;
            assert_eq!(says, AnyOrders::shown(id), "{id}");
            let instrument = Instrument::bare(InstrumentId(0), id, Text::EMPTY, 2, 8);
            let has_rule = AnyOrders::new(&instrument, 8).is_some();
            assert_eq!(has_rule, says != SingleOrders::None, "{id}");
        }
    }

    fn config(venue: &str, lines: &str, lanes: &str) -> Config {
        let node = "[node]\nname = \"t\"\nshm = \"/dev/shm/t\"\nstate_dir = \"/tmp/t\"\n";
        let text = format!(
            "{node}{lanes}\n[venue.{venue}]\nrest = \"l:1\"\npublic = \"l:1\"\nprivate = \"l:1\"\n\
             symbols = [\"A\", \"B\"]\n{lines}"
        );
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.toml");
        std::fs::write(&path, text).expect("written");
        Config::load(&path).expect("a configuration")
    }

    #[test]
    fn what_cannot_be_followed_is_refused_with_the_mend() {
        let whole = |venue: &str| format!("[[lane]]\nvenues = [\"{venue}\"]");
        let some = "single_orders = [\"A\"]";
        let keyed = format!("{some}\nkeys_file = \"/k\"");
        let told = |venue, lines: &str, lanes: &str| check(&config(venue, lines, lanes));
        assert_eq!(told("bitfinex", some, &whole("bitfinex")), Ok(()));
        assert_eq!(told("kraken", &keyed, &whole("kraken")), Ok(()));
        assert_eq!(told("okx", "", &whole("okx")), Ok(()));
        let spread = "[[lane]]\nvenues = [\"bitfinex\"]\nroles = [\"feed\", \"gateway\"]\n\
                      [[lane]]\nroles = [\"engine\", \"journal\"]";
        let groups =
            "[venue.deribit.multicast]\ninterface = \"127.0.0.1\"\nline_a = [\"239.1.1.1:5000\"]";
        let by = |feed: &str| format!("{some}\n{groups}\nfeed = \"{feed}\"");
        assert_eq!(told("deribit", &by("starbase"), &whole("deribit")), Ok(()));
        let classic = by("classic");
        for (venue, lines, lanes, mend) in [
            ("deribit", some, whole("deribit"), "feed = \"starbase\""),
            ("deribit", &classic, whole("deribit"), "feed = \"starbase\""),
            ("okx", some, whole("okx"), "leave the key out"),
            ("coinbase", some, whole("coinbase"), "keys_file"),
            ("bitfinex", some, spread.to_owned(), "one lane"),
        ] {
            let error = told(venue, lines, &lanes).expect_err(mend);
            assert!(
                error.contains(mend) && error.contains(&format!("venue.{venue}.single_orders")),
                "{error}"
            );
        }
    }
}
