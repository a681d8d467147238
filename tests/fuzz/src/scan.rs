//! The venues' scanners against the general parser: whatever comes in, both must say the same.

use dp_types::{LinkId, Now};
use dp_venue_api::{Registry, Venue as _, VenueConfig};
use dp_venue_binance::feed::Decoder;
use dp_venue_okx::{LINK_PUBLIC, Okx};
use std::cell::RefCell;

#[path = "../../../dataplane/venues/api/tests/said/mod.rs"]
mod said;

use said::Ear;

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
        let (mut ours, mut theirs) = (Ear::default(), Ear::default());
        let before = both.scanner.counts();
        let link = LinkId(1);
        let got = both
            .scanner
            .text(&both.registry, link, &mut bytes.to_vec(), &mut ours);
        let want = both
            .oracle
            .parse(&both.registry, link, &mut bytes.to_vec(), &mut theirs);
        assert_eq!(got, want);
        assert_eq!(ours.0, theirs.0);
        both.scanner.counts().scanned > before.scanned
    })
}

/// One message for the OKX machine. Says whether the scanner took it.
pub fn okx(bytes: &[u8]) -> bool {
    OKX.with_borrow_mut(|(registry, scanner, oracle)| {
        let (mut ours, mut theirs) = (Ear::default(), Ear::default());
        let before = scanner.read_counts();
        let (link, now) = (LINK_PUBLIC, Now::default());
        let got = scanner.on_text(registry, link, now, &mut bytes.to_vec(), &mut ours);
        let want = oracle.parse_text(registry, link, now, &mut bytes.to_vec(), &mut theirs);
        assert_eq!(got, want);
        assert_eq!(ours.0, theirs.0);
        scanner.read_counts().scanned > before.scanned
    })
}
