//! The venues' scanners against the general parser: whatever comes in, both must say the same.

use dp_types::LinkId;
use dp_venue_api::Registry;
use dp_venue_binance::feed::Decoder;
use std::cell::RefCell;
use tests_venues::both::Both;
use tests_venues::ear::{is_scanned, same};

/// Kept from one input to the next: its buffers are large, and it keeps no state but counts.
struct Binance {
    registry: Registry,
    scanner: Decoder,
    oracle: Decoder,
}

/// A machine and its oracle, that follow these symbols.
macro_rules! both {
    ($krate:ident::$machine:ident, $link:ident, $($symbol:literal),*) => {
        RefCell::new(Both::new(
            &[$($symbol),*],
            $krate::$link,
            $krate::$machine::new,
            |venue, registry, link, now, text, ear| venue.parse_text(registry, link, now, text, ear),
        ))
    };
}

thread_local! {
    static BINANCE: RefCell<Binance> = RefCell::new(Binance {
        registry: registry(&["BTCUSDT", "ETHUSDT"]),
        scanner: Decoder::default(),
        oracle: Decoder::default(),
    });
    static OKX: RefCell<Both<dp_venue_okx::Okx>> =
        both!(dp_venue_okx::Okx, LINK_PUBLIC, "BTC-USDT", "ETH-USDT");
    static BITFINEX: RefCell<Both<dp_venue_bitfinex::Bitfinex>> =
        both!(dp_venue_bitfinex::Bitfinex, LINK_MARKET, "tBTCUSD");
    static BYBIT: RefCell<Both<dp_venue_bybit::Bybit>> =
        both!(dp_venue_bybit::Bybit, LINK_PUBLIC, "BTCUSDT");
    static COINBASE: RefCell<Both<dp_venue_coinbase::Coinbase>> =
        both!(dp_venue_coinbase::Coinbase, LINK_PUBLIC, "BTC-USD");
    static DERIBIT: RefCell<Both<dp_venue_deribit::Deribit>> =
        both!(dp_venue_deribit::Deribit, LINK_MD, "BTC-PERPETUAL");
    static HUOBI: RefCell<Both<dp_venue_huobi::Huobi>> =
        both!(dp_venue_huobi::Huobi, LINK_FEED, "btcusdt");
    static KRAKEN: RefCell<Both<dp_venue_kraken::Kraken>> =
        both!(dp_venue_kraken::Kraken, LINK_PUBLIC, "BTC/USD");
    static KRAKEN_FUTURES: RefCell<Both<dp_venue_kraken_futures::KrakenFutures>> =
        both!(dp_venue_kraken_futures::KrakenFutures, LINK_PUBLIC, "PF_XBTUSD");
}

fn registry(symbols: &[&str]) -> Registry {
    let mut registry = Registry::new();
    for symbol in symbols {
        let added = registry.register(dp_venue_binance::ID, symbol, 8, 8);
        assert!(added.is_ok());
    }
    registry
}

/// One message for Binance's decoder. Says whether the scanner took it.
pub fn binance(bytes: &[u8]) -> bool {
    BINANCE.with_borrow_mut(|both| {
        let Binance {
            registry,
            scanner,
            oracle,
        } = both;
        let before = scanner.counts();
        same(
            bytes,
            |text, ear| scanner.text(registry, LinkId(1), text, ear),
            |text, ear| oracle.parse(registry, LinkId(1), text, ear),
        );
        is_scanned(before, scanner.counts())
    })
}

/// One message for the OKX machine. Says whether the scanner took it.
pub fn okx(bytes: &[u8]) -> bool {
    OKX.with_borrow_mut(|both| both.check(bytes))
}

/// One message for each machine whose scanner reads changes of a book. Says how many scanners took it.
pub fn changes(bytes: &[u8]) -> usize {
    /// Frames are read by their channel, which an event named before.
    const BITFINEX_STARTS: [&[u8]; 2] = [
        br#"{"event":"conf","status":"OK","flags":229376}"#,
        br#"{"event":"subscribed","channel":"book","chanId":17082,"symbol":"tBTCUSD","prec":"P0","len":"25"}"#,
    ];
    let taken = [
        BITFINEX.with_borrow_mut(|both| {
            for start in BITFINEX_STARTS {
                both.check(start);
            }
            both.check(bytes)
        }),
        BYBIT.with_borrow_mut(|both| both.check(bytes)),
        COINBASE.with_borrow_mut(|both| both.check(bytes)),
        DERIBIT.with_borrow_mut(|both| both.check(bytes)),
        HUOBI.with_borrow_mut(|both| both.check(bytes)),
        KRAKEN.with_borrow_mut(|both| both.check(bytes)),
        KRAKEN_FUTURES.with_borrow_mut(|both| both.check(bytes)),
    ];
    taken.into_iter().filter(|is_taken| *is_taken).count()
}
