//! What each venue's decoder makes of a message, held against a second reading of it: by serde_json, from the venue's
//! page and not from the decoder, in the file of the venue's name.
//!
//! ```text
//!              ┌─▶ venue machine ─▶ events ───────┐
//!   message ───┤                                  ├─▶ the same, word for word, numbers exact
//!              └─▶ serde_json ─▶ the page's words ┘
//! ```
//! Messages are the crates' fixtures, every recording, and fixtures with other numbers, rows left out and rows doubled.
//! A message of which the page says nothing must be ignored for a reason of the list.

mod binance;
mod bitfinex;
mod bybit;
mod coinbase;
mod deribit;
mod frame;
mod heard;
mod huobi;
mod kraken;
mod kraken_futures;
mod kucoin;
mod okx;
mod trials;

mod tests {
    use crate::frame::Tried;
    use crate::heard::Heard;
    use crate::trials;
    use dp_types::VenueId;
    use dp_venue_api::{Registry, RestTag, VenueConfig};
    use serde_json::Value;

    /// A module of tests for each venue: its page, crate, machine and folder, and the tag of a URL.
    macro_rules! venues {
        ($($page:ident $krate:ident $machine:ident $folder:literal $tag:expr;)*) => {$(
            mod $page {
                use super::*;
                use crate::$page as venue;

                struct Venue;

                impl Tried for Venue {
                    type Machine = $krate::$machine;
                    type Page = venue::Page;
                    const ID: VenueId = $krate::ID;
                    const FOLDER: &'static str = $folder;
                    const BOOKS: &'static [(&'static str, &'static str)] = venue::BOOKS;
                    const BEFORE: &'static [&'static str] = venue::BEFORE;
                    const MORE: &'static [&'static str] = venue::MORE;

                    fn machine(registry: &mut Registry) -> Self::Machine {
                        $krate::$machine::new(VenueConfig::default(), registry).expect("no symbols")
                    }
                    fn tag(registry: &Registry, url: &str) -> Option<RestTag> {
                        $tag(registry, url)
                    }
                    fn read(page: &mut Self::Page, message: &Value, url: Option<&str>) -> Vec<Heard> {
                        venue::read(page, message, url)
                    }
                }

                #[test]
                fn fixtures() {
                    trials::fixtures::<Venue>();
                }

                #[test]
                fn recordings() {
                    trials::recordings::<Venue>();
                }

                #[test]
                fn made_up() {
                    trials::made_up::<Venue>();
                }

                #[test]
                fn a_number_changed_on_its_way_is_found() {
                    trials::faults::<Venue>();
                }
            }
        )*};
    }

    /// Recordings of the other product are told apart by their messages.
    const SPOT: dp_venue_binance::product::Product = dp_venue_binance::product::Product::Spot;

    venues! {
        binance dp_venue_binance Binance "binance" |registry, url| dp_venue_binance::rest::tag_of_url(SPOT, registry, url);
        bitfinex dp_venue_bitfinex Bitfinex "bitfinex" dp_venue_bitfinex::rest::tag_of_url;
        bybit dp_venue_bybit Bybit "bybit" dp_venue_bybit::rest::tag_of_url;
        coinbase dp_venue_coinbase Coinbase "coinbase" dp_venue_coinbase::rest::tag_of_url;
        deribit dp_venue_deribit Deribit "deribit" dp_venue_deribit::rest::tag_of_url;
        huobi dp_venue_huobi Huobi "huobi" |_, url| dp_venue_huobi::rest::tag_of_url(url);
        kraken dp_venue_kraken Kraken "kraken" dp_venue_kraken::rest::tag_of_url;
        kraken_futures dp_venue_kraken_futures KrakenFutures "kraken-futures" dp_venue_kraken_futures::rest::tag_of_url;
        kucoin dp_venue_kucoin Kucoin "kucoin" dp_venue_kucoin::rest::tag_of_url;
        okx dp_venue_okx Okx "okx" dp_venue_okx::rest::tag_of_url;
    }
}
