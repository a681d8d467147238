//! The venues' scanners against the general parser: whatever comes in, both must say the same.

use dp_types::{LinkId, Now};
use dp_venue_api::{Registry, Venue as _, VenueConfig};
use dp_venue_binance::feed::Decoder;
use dp_venue_okx::{LINK_PUBLIC, Okx};
use std::cell::RefCell;

use tests_venues::ear::{is_scanned, same};

/// Kept from one input to the next: its buffers are large, and it keeps no state but counts.
struct Binance {
    registry: Registry,
    scanner: Decoder,
    oracle: Decoder,
}

thread_local! {
    static BINANCE: RefCell<Binance> = RefCell::new(Binance {
        registry: registry(&["BTCUSDT", "ETHUSDT"]),
        scanner: Decoder::default(),
        oracle: Decoder::default(),
    });
    static OKX: RefCell<(Registry, Okx, Okx)> = RefCell::new({
        let mut registry = Registry::new();
        let mut machine = || {
            let config = VenueConfig {
                symbols: vec!["BTC-USDT".into(), "ETH-USDT".into()],
                ..VenueConfig::default()
            };
            Okx::new(config, &mut registry).expect("there is room")
        };
        let (scanner, oracle) = (machine(), machine());
        (registry, scanner, oracle)
    });
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
    OKX.with_borrow_mut(|(registry, scanner, oracle)| {
        let before = scanner.read_counts();
        let (link, now) = (LINK_PUBLIC, Now::default());
        same(
            bytes,
            |text, ear| scanner.on_text(registry, link, now, text, ear),
            |text, ear| oracle.parse_text(registry, link, now, text, ear),
        );
        is_scanned(before, scanner.read_counts())
    })
}
