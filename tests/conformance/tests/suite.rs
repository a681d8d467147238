//! Every case on every venue, in virtual time.
//!
//! `SPINLANE_CASE=F04,E` plays only these (by the beginning of their numbers), `SPINLANE_VENUE=okx,kraken` only there;
//! `SPINLANE_CONFORMANCE=long` also those in which a day passes, and on sockets all of them. `--nocapture` shows each.

use tests_conformance::play::{Time, play};
use tests_conformance::venues::{self, Tried};

macro_rules! virtual_time {
    ($($test:ident $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                let venue = Tried::named($name).expect("on the list");
                let failed = play(venue, Time::Virtual);
                assert!(failed.is_empty(), "\n{}", failed.join("\n"));
            }
        )*

        #[test]
        fn every_venue_has_its_test() {
            let tests = [$($name),*];
            assert!(venues::all().all(|venue| tests.contains(&venue.label().as_str())));
        }
    };
}

virtual_time! {
    binance "binance"
    binance_sbe "binance-sbe"
    binance_usdm "binance-usdm"
    binance_usdm_batches "binance-usdm-batches"
    bitfinex "bitfinex"
    bybit "bybit"
    coinbase "coinbase"
    coinbase_fix "coinbase-fix"
    binance_fix "binance-fix"
    deribit_fix "deribit-fix"
    kraken_fix "kraken-fix"
    yofx_fix "yofx-fix"
    deribit "deribit"
    deribit_multicast "deribit-multicast"
    deribit_starbase "deribit-starbase"
    huobi "huobi"
    kraken "kraken"
    kraken_futures "kraken-futures"
    kucoin "kucoin"
    kucoin_batches "kucoin-batches"
    oanda "oanda"
    okx "okx"
    okx_swaps "okx-swaps"
}
