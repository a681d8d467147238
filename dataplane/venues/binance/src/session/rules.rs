//! Instrument rules: all symbols in one request, or, when the venue refuses the list for one symbol it does
//! not know, one symbol after the other.
//!
//! ```text
//! All ─ answer ─▶ InstrumentsReady            All ─ no such symbol ─▶ One(0) ─▶ One(1) ─▶ … ─▶ InstrumentsReady
//! ```
//! A symbol the venue does not list keeps no rules and is not live; the others are not held up by it.

use super::{ANSWER_WAIT_NS, RETRY_NS, Session};
use crate::product::Product;
use crate::rest::{self, Ask};
use dp_types::{Instrument, InstrumentId, Now};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};

/// How the rules are asked for.
#[derive(Debug)]
pub(super) enum Rules {
    /// All at once, by this target.
    All(String),
    /// Of the followed symbol at this index.
    One(usize),
}

/// `/api/v3/exchangeInfo?symbols=["A","B"]`, percent-encoded. Futures list all they have, whatever is asked.
pub(super) fn target(product: Product, symbols: &[String]) -> String {
    let path = product.paths().rules;
    if product == Product::Usdm {
        return path.to_owned();
    }
    let list: Vec<_> = symbols
        .iter()
        .map(|symbol| format!("%22{symbol}%22"))
        .collect();
    format!("{path}?symbols=%5B{}%5D", list.join("%2C"))
}

/// "Invalid symbol." and "Illegal characters found in a parameter.": the list holds a name the venue will
/// never take.
pub(super) const fn is_bad_symbol(code: i32) -> bool {
    matches!(code, -1121 | -1100)
}

impl Session {
    /// What is asked for now, while the rules are not all here.
    fn rules_awaited(&self) -> Option<Ask> {
        self.rules_at?;
        match self.rules {
            Rules::All(_) => Some(Ask::Rules(None)),
            Rules::One(index) => Some(Ask::Rules(Some(self.followed.get(index)?.id))),
        }
    }

    pub(super) fn ask_rules(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let Some(ask) = self.rules_awaited() else {
            return;
        };
        if !self.limits.request(now.unix, ask.weight(self.product)) {
            self.rules_at = Some(now.unix.after(RETRY_NS));
            return;
        }
        self.rules_at = Some(now.unix.after(ANSWER_WAIT_NS));
        match (&self.rules, ask) {
            (Rules::All(target), _) => rest::ask(ask, target, None, out),
            (Rules::One(_), Ask::Rules(Some(id))) => {
                let symbol = registry.get(id).map_or("", |known| known.symbol.as_str());
                let target = format!("{}?symbol={symbol}", self.product.paths().rules);
                rest::ask(ask, &target, None, out);
            }
            (Rules::One(_), _) => {}
        }
    }

    /// The request failed: again in a while.
    pub(super) fn rules_failed(&mut self, ask: Ask, now: Now) {
        if self.rules_awaited() == Some(ask) {
            self.rules_at = Some(now.unix.after(RETRY_NS));
        }
    }

    /// The rules of `count` instruments came. Errors: [`DecodeError::Unlisted`], the first symbol that is not
    /// among them.
    pub(super) fn on_rules(
        &mut self,
        ask: Ask,
        count: usize,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if self.rules_awaited() != Some(ask) {
            return Ok(());
        }
        match ask {
            Ask::Rules(Some(id)) => {
                self.next_rules(registry, now, out);
                if count == 0 {
                    return Err(DecodeError::Unlisted(id).into());
                }
                Ok(())
            }
            _ => match self.finish_rules(registry, out) {
                Some(id) => Err(DecodeError::Unlisted(id).into()),
                None => Ok(()),
            },
        }
    }

    /// The venue knows no such symbol: the whole list is asked for one by one, a single one is passed over.
    /// Returns the fault that names it; `None` when the answer is not the one waited for.
    pub(super) fn on_bad_symbol(
        &mut self,
        ask: Ask,
        registry: &mut Registry,
        now: Now,
        out: &mut impl Sink,
    ) -> Option<Fault> {
        if self.rules_awaited() != Some(ask) {
            return None;
        }
        let Ask::Rules(Some(id)) = ask else {
            self.rules = Rules::One(0);
            self.rules_at = Some(now.unix);
            self.run_due(registry, now, out);
            return None;
        };
        self.next_rules(registry, now, out);
        Some(DecodeError::Unlisted(id).into())
    }

    fn next_rules(&mut self, registry: &mut Registry, now: Now, out: &mut impl Sink) {
        let Rules::One(index) = self.rules else {
            return;
        };
        self.rules = Rules::One(index + 1);
        if index + 1 < self.followed.len() {
            self.rules_at = Some(now.unix);
            self.run_due(registry, now, out);
        } else {
            let _ = self.finish_rules(registry, out); // each was told when its answer came
        }
    }

    /// All that can be known is known. Returns the first symbol without rules: it must not trade.
    fn finish_rules(
        &mut self,
        registry: &mut Registry,
        out: &mut impl Sink,
    ) -> Option<InstrumentId> {
        self.rules_at = None;
        let mut unlisted = None;
        for followed in &self.followed {
            if let Some(&known) = registry.get(followed.id)
                && known.tick.0 == 0
            {
                unlisted = unlisted.or(Some(followed.id));
                registry.update(Instrument {
                    is_live: false,
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        unlisted
    }
}
