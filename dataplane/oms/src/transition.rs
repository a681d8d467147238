//! The state machine of an order as one table.

use dp_types::OrderState;
use dp_types::OrderState::{
    Ack, Cancelled, Expired, Filled, New, PartiallyFilled, Pending, Rejected, Unknown,
};

/// What evidence of `to` means for an order in `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The order moves.
    Moves,
    /// Old news, or the same again: nothing moves, nothing is wrong.
    Stays,
    /// Cannot be: the evidence is refused and counted.
    Illegal,
}

/// The table. Evidence is what a venue (or our own timer) can show, so `to` is never `New`.
///
/// Rules: a final state stays; late news of a livelier state is old; fills cannot be undone by a
/// rejection; `Unknown` yields to any word of the venue. Source: requirement OM-02, venues/README
/// section 8.
pub const fn judge(from: OrderState, to: OrderState) -> Verdict {
    match (from, to) {
        (_, New) => Verdict::Illegal,
        (New, Pending | Rejected | Unknown) => Verdict::Moves,
        // Reports can overtake our own note that the bytes are out.
        (New, Ack | PartiallyFilled | Filled | Cancelled | Expired) => Verdict::Moves,

        (Pending, Pending) => Verdict::Stays,
        (Pending, _) => Verdict::Moves,

        (Ack, Pending | Ack) => Verdict::Stays,
        // A venue may accept a post-only order and refuse it a moment later.
        (Ack, PartiallyFilled | Filled | Cancelled | Rejected | Expired | Unknown) => {
            Verdict::Moves
        }

        (PartiallyFilled, Pending | Ack | PartiallyFilled) => Verdict::Stays,
        (PartiallyFilled, Filled | Cancelled | Expired | Unknown) => Verdict::Moves,
        (PartiallyFilled, Rejected) => Verdict::Illegal,

        (Unknown, Pending | Unknown) => Verdict::Stays,
        (Unknown, _) => Verdict::Moves,

        (Filled, Filled) => Verdict::Stays,
        (Cancelled, Cancelled) => Verdict::Stays,
        (Rejected, Rejected) => Verdict::Stays,
        (Expired, Expired) => Verdict::Stays,
        (Filled | Cancelled | Rejected | Expired, Pending | Unknown) => Verdict::Stays,
        (Filled | Cancelled | Expired, Ack | PartiallyFilled) => Verdict::Stays,
        // What was refused never was on the book: if it is, we hold a live order for dead.
        (Rejected, Ack | PartiallyFilled) => Verdict::Illegal,
        // The last fill and the cancel crossed on the wire: the fill is true.
        (Cancelled | Expired, Filled) => Verdict::Moves,
        (Filled, Cancelled | Rejected | Expired) => Verdict::Illegal,
        // One end, two words for it: a stream that does not tell the TIF says cancelled of an IOC's rest, a query
        // that does says expired.
        (Cancelled, Expired) | (Expired, Cancelled) => Verdict::Stays,
        (Cancelled | Expired, Rejected) => Verdict::Illegal,
        (Rejected, Filled | Cancelled | Expired) => Verdict::Illegal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M moves, . stays, x illegal. Rows: from; columns: to. Both in the order of `OrderState::ALL`.
    const TABLE: [(OrderState, &str); 9] = [
        //                 N P A p F C R E U
        (New, "xMMMMMMMM"),
        (Pending, "x.MMMMMMM"),
        (Ack, "x..MMMMMM"),
        (PartiallyFilled, "x...MMxMM"),
        (Filled, "x....xxx."),
        (Cancelled, "x...M.x.."),
        (Rejected, "x.xxxx.x."),
        (Expired, "x...M.x.."),
        (Unknown, "x.MMMMMM."),
    ];

    #[test]
    fn every_state_and_every_evidence() {
        for (from, row) in TABLE {
            for (to, want) in OrderState::ALL.into_iter().zip(row.chars()) {
                let got = match judge(from, to) {
                    Verdict::Moves => 'M',
                    Verdict::Stays => '.',
                    Verdict::Illegal => 'x',
                };
                assert_eq!(got, want, "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn only_a_crossed_fill_leaves_a_final_state() {
        for from in OrderState::ALL.into_iter().filter(|state| state.is_final()) {
            for to in OrderState::ALL {
                let moves = judge(from, to) == Verdict::Moves;
                assert_eq!(
                    moves,
                    to == Filled && matches!(from, Cancelled | Expired),
                    "{from:?} {to:?}"
                );
            }
        }
    }
}
