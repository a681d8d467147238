//! What a strategy wants to hear. The engine calls nobody for what nobody asked for.

/// A set of inputs. Fills and moves of its own orders every strategy hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs(u8);

impl Inputs {
    /// Nothing but its own orders.
    pub const NONE: Self = Self(0);
    /// Changes of the book: `on_book`.
    pub const BOOK: Self = Self(1);
    /// Single orders: `on_orders`.
    pub const ORDERS: Self = Self(2);
    /// Public trades: `on_trade`.
    pub const TRADES: Self = Self(4);
    /// The best-quote channel: `on_quote`.
    pub const QUOTES: Self = Self(8);
    /// Ten times a second: `on_timer`.
    pub const TIMER: Self = Self(16);
    /// Everything.
    pub const ALL: Self = Self(31);

    /// These and those: `Inputs::BOOK.and(Inputs::TIMER)`.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of those are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_there_and_nothing_else() {
        let some = Inputs::BOOK.and(Inputs::TIMER);
        assert!(some.has(Inputs::BOOK) && some.has(Inputs::TIMER) && some.has(some));
        for other in [Inputs::ORDERS, Inputs::TRADES, Inputs::QUOTES, Inputs::ALL] {
            assert!(!some.has(other) && Inputs::ALL.has(other));
        }
        assert!(some.has(Inputs::NONE), "its own orders everybody hears");
    }
}
