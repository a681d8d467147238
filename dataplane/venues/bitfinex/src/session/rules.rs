//! The instruments' rules first, then the subscriptions of the market data links.

use super::{ANSWER_WAIT_NS, Followed, READY_WAIT_NS, RETRY_NS, SECOND_NS, Session};
use crate::feed::Shows;
use crate::limits::RestPool;
use crate::rest::{self, Ask};
use crate::symbols::{is_derivative, push_u64};
use dp_types::{Instrument, InstrumentId, LinkId, Now, UnixNanos};
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, Sink};
use dp_wire::json::Value;

/// One list to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    ask: Ask,
    /// When it is asked for (again); `None` once it is here.
    pub(super) due: Option<UnixNanos>,
}

/// The lists these symbols are in.
pub(super) fn lists(symbols: &[String]) -> Vec<List> {
    let has = |kind| symbols.iter().any(|symbol| is_derivative(symbol) == kind);
    let asks = [
        (Ask::Pairs, has(false)),
        (Ask::Futures, has(true)),
        (Ask::Tickers, !symbols.is_empty()),
    ];
    let due = Some(UnixNanos(0));
    let wanted = asks.into_iter().filter(|(_, is_wanted)| *is_wanted);
    wanted.map(|(ask, _)| List { ask, due }).collect()
}

/// What is subscribed of an instrument.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    channel: &'static str,
    /// What follows the symbol, and begins where its text ends.
    how: &'static str,
    /// What our name of the subscription begins with.
    mark: &'static str,
}

const BOOK: Wanted = Wanted {
    channel: "book",
    how: r#"","prec":"P0","freq":"F0","len":"25"#,
    mark: "b",
};
/// The longest raw book there is: so many orders a side.
const ORDERS: Wanted = Wanted {
    channel: "book",
    how: r#"","prec":"R0","len":"250"#,
    mark: "r",
};
const TRADES: Wanted = Wanted {
    channel: "trades",
    how: "",
    mark: "t",
};

impl Session {
    /// When the next list is asked for (again); `None` once all are here.
    pub(super) fn lists_due(&self) -> Option<UnixNanos> {
        self.lists.iter().filter_map(|list| list.due).min()
    }

    pub(super) fn ask_lists(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        for list in &mut self.lists {
            if list.due.is_none_or(|due| due > now.unix) {
                continue;
            }
            if !self.limits.rest(now.unix, RestPool::Public) {
                list.due = Some(now.unix.after(RETRY_NS));
                continue;
            }
            list.due = Some(now.unix.after(ANSWER_WAIT_NS));
            match list.ask {
                Ask::Pairs => rest::get(list.ask, "/v2/conf/pub:info:pair", out),
                Ask::Futures => rest::get(list.ask, "/v2/conf/pub:info:pair:futures", out),
                _ => {
                    let names = self.symbols.iter().filter_map(|id| registry.get(*id));
                    let names: Vec<_> = names.map(|known| known.symbol.as_str()).collect();
                    let target = format!("/v2/tickers?symbols={}", names.join(","));
                    rest::get(list.ask, &target, out);
                }
            }
        }
    }

    /// A list failed: again in a while.
    pub(super) fn list_failed(&mut self, ask: Ask, now: Now) {
        for list in self.lists.iter_mut().filter(|list| list.ask == ask) {
            list.due = list.due.map(|_| now.unix.after(10 * SECOND_NS));
        }
    }

    /// Rules of pairs, or prices. Says with the last list that instruments are known.
    ///
    /// Errors: a list that cannot be read; a symbol the venue does not list.
    pub(super) fn on_list(
        &mut self,
        ask: Ask,
        registry: &mut Registry,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if ask == Ask::Tickers {
            rest::tickers(registry, root)?;
        } else {
            let listed = &mut self.listed;
            rest::pairs(registry, root, |id| {
                if let Some(is_listed) = listed.get_mut(id.0 as usize) {
                    *is_listed = true;
                }
            })?;
        }
        for list in self.lists.iter_mut().filter(|list| list.ask == ask) {
            list.due = None;
        }
        if self.are_rules_ready || self.lists_due().is_some() {
            return Ok(());
        }
        self.are_rules_ready = true;
        // A symbol the venue did not list has no rules: it must not trade.
        let mut unlisted = None;
        for &id in &self.symbols {
            if let Some(&known) = registry.get(id)
                && !self.is_listed(id)
            {
                unlisted = unlisted.or(Some(id));
                registry.update(Instrument {
                    is_live: false,
                    tick: dp_types::Price(0),
                    ..known
                });
            }
        }
        out.event(&Event::Control(Control::InstrumentsReady));
        for at in 0..self.markets.len() {
            self.subscribe(registry, at, now, out);
        }
        match unlisted {
            Some(id) => Err(DecodeError::Unlisted(id).into()),
            None => Ok(()),
        }
    }

    fn is_listed(&self, id: InstrumentId) -> bool {
        self.listed.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// Subscribes what has rules: for another symbol no confirmation would ever come.
    pub(super) fn subscribe(
        &mut self,
        registry: &Registry,
        at: usize,
        now: Now,
        out: &mut impl Sink,
    ) {
        let Some(market) = self.markets.get_mut(at).filter(|market| market.ws.is_open) else {
            return;
        };
        let (link, mut listed) = (market.link, market.symbols.clone());
        market.ws.ready_by = None; // the clock runs from the subscription
        if !self.are_rules_ready {
            return;
        }
        listed.retain(|id| self.is_listed(*id));
        let mut channels = 0;
        for id in &listed {
            let followed = self.followed.get(id.0 as usize).copied();
            let followed = followed.unwrap_or_default();
            self.send_subscribe(registry, link, BOOK, *id, out);
            self.send_subscribe(registry, link, TRADES, *id, out);
            if followed.orders.is_followed {
                self.send_subscribe(registry, link, ORDERS, *id, out);
            }
            channels += Followed::channels(&followed);
        }
        if let Some(market) = self.markets.get_mut(at) {
            market.ws.acks_missing = channels as u32;
            let ready_by = now.unix.after(READY_WAIT_NS);
            market.ws.ready_by = (!listed.is_empty()).then_some(ready_by);
        }
    }

    pub(super) fn send_book_subscribe(
        &mut self,
        registry: &Registry,
        link: LinkId,
        (id, shows): (InstrumentId, Shows),
        out: &mut impl Sink,
    ) {
        let wanted = match shows {
            Shows::Levels => BOOK,
            Shows::Orders => ORDERS,
        };
        self.send_subscribe(registry, link, wanted, id, out);
    }

    fn send_subscribe(
        &mut self,
        registry: &Registry,
        link: LinkId,
        wanted: Wanted,
        id: InstrumentId,
        out: &mut impl Sink,
    ) {
        let symbol = registry.get(id).map_or("", |known| known.symbol.as_str());
        self.message.clear();
        for part in [
            r#"{"event":"subscribe","channel":""#,
            wanted.channel,
            r#"","symbol":""#,
            symbol,
            wanted.how,
            r#"","subId":""#,
            wanted.mark,
        ] {
            self.message.extend_from_slice(part.as_bytes());
        }
        push_u64(u64::from(id.0), &mut self.message);
        self.message.extend_from_slice(br#""}"#);
        out.send_text(link, &self.message);
    }

    /// One more subscription of a link is confirmed, or refused for good.
    pub(super) fn subscription_done(&mut self, link: LinkId, out: &mut impl Sink) {
        let Some(market) = self.market(link) else {
            return;
        };
        let was_missing = market.ws.acks_missing;
        market.ws.acks_missing = was_missing.saturating_sub(1);
        if was_missing == 1 {
            market.ws.is_ready = true;
            market.ws.ready_by = None;
            out.event(&Event::Control(Control::Subscribed(link)));
        } else {
            out.event(&Event::Ignored("subscription confirmed"));
        }
    }
}
