//! Binance's binary market data: what cannot be read to its end tells nothing, and a good message is read after it.

use dp_venue_api::Registry;
use dp_venue_binance::feed::Decoder;
use std::cell::RefCell;
use tests_venues::ear::Ear;

thread_local! {
    /// Kept from one input to the next: its buffers are large, and it keeps no state but counts.
    static DECODER: RefCell<(Registry, Decoder)> = RefCell::new({
        let mut registry = Registry::new();
        let added = registry.register(dp_venue_binance::ID, "BTCUSDT", 8, 8);
        assert!(added.is_ok());
        (registry, Decoder::default())
    });
}

/// One message. Returns how many events were heard.
pub fn binance(bytes: &[u8]) -> usize {
    let good = include_bytes!("../corpus/sbe/depth_diff");
    DECODER.with_borrow_mut(|(registry, decoder)| {
        let mut ear = Ear::default();
        let result = decoder.binary(registry, bytes, &mut ear);
        let events = ear.0.len();
        assert!(result.is_ok() || events == 0, "half a message was told");
        assert_eq!(decoder.binary(registry, good, &mut ear), Ok(()));
        assert_eq!(
            ear.0.len(),
            events + 1,
            "a good message is not read any more"
        );
        events
    })
}
