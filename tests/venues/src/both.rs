//! A machine, and the same again that reads without its scanner: whatever comes in, both must say the same.

use crate::damage::{each_byte, mutate};
use crate::ear::{Ear, is_scanned, same};
use dp_types::{LinkId, Now};
use dp_venue_api::{Fault, Registry, RegistryError, Venue, VenueConfig};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// How a machine reads a text without its scanner.
pub type Parse<V> = fn(&mut V, &Registry, LinkId, Now, &mut [u8], &mut Ear) -> Result<(), Fault>;

/// The two machines, and what they know.
pub struct Both<V> {
    registry: Registry,
    scanner: V,
    oracle: V,
    link: LinkId,
    parse: Parse<V>,
}

impl<V: Venue> Both<V> {
    /// Two machines that follow these symbols and hear this link.
    pub fn new(
        symbols: &[&str],
        link: LinkId,
        make: fn(VenueConfig, &mut Registry) -> Result<V, RegistryError>,
        parse: Parse<V>,
    ) -> Self {
        let mut registry = Registry::new();
        let mut machine = || {
            let config = VenueConfig {
                symbols: symbols.iter().map(|&symbol| symbol.to_owned()).collect(),
                ..VenueConfig::default()
            };
            make(config, &mut registry).expect("there is room")
        };
        let (scanner, oracle) = (machine(), machine());
        Self {
            registry,
            scanner,
            oracle,
            link,
            parse,
        }
    }

    /// Gives a text to both. Says whether the scanner took it.
    pub fn check(&mut self, text: &[u8]) -> bool {
        let Self {
            registry,
            scanner,
            oracle,
            link,
            parse,
        } = self;
        let (link, now) = (*link, Now::default());
        let before = scanner.read_counts();
        same(
            text,
            |text, ear| {
                let result = scanner.on_text(registry, link, now, text, ear);
                (result, scanner.next_deadline())
            },
            |text, ear| {
                let result = parse(oracle, registry, link, now, text, ear);
                (result, oracle.next_deadline())
            },
        );
        is_scanned(before, scanner.read_counts())
    }

    /// A message that must be scanned; and each byte of it made another, the whole of it damaged, cut and repeated.
    pub fn check_hot(&mut self, text: &str) {
        assert!(self.check(text.as_bytes()), "parsed: {text}");
        each_byte(text.as_bytes(), |text| {
            self.check(text);
        });
        let edits = proptest::collection::vec(any::<(u8, u16, u8)>(), 1..4);
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::with_cases(500)
        });
        let this = core::cell::RefCell::new(self);
        let damaged = |edits: Vec<_>| {
            let mut text = text.as_bytes().to_vec();
            mutate(&mut text, &edits);
            this.borrow_mut().check(&text);
            Ok(())
        };
        runner.run(&edits, damaged).expect("both say the same");
    }
}
