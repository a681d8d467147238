//! The hot messages, read by hand: market data in the order in which the venue writes its fields, and what
//! answers orders, whose fields come in any order. Anything else is `feed`'s, the general parser's, and so is
//! whatever here is given up.

mod market;
mod orders;

use crate::account::Pushed;
use crate::entry::Answer;
use crate::feed::Levels;
use dp_venue_api::Registry;
use dp_wire::scan::Cursor;

pub(crate) use market::Push;

/// What was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hot {
    Market(Push),
    Order(Pushed),
    Answer(Answer),
}

/// Reads one message. `None` when it is of no hot shape.
#[inline]
pub(crate) fn text(registry: &Registry, text: &[u8], levels: &mut Levels) -> Option<Hot> {
    let mut at = Cursor::new(text);
    if !at.eat(br#"{"arg":{"channel":""#) {
        return orders::answer(at).map(Hot::Answer);
    }
    if at.eat(br#"orders","#) {
        return orders::push(registry, at).map(Hot::Order);
    }
    market::push(registry, at, levels).map(Hot::Market)
}
