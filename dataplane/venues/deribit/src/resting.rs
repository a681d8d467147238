//! What an amend must tell anew: the venue's `edit` takes the whole of an order, our amend only what changes.
//!
//! ```text
//! private/edit   amount: always wanted    price: told anew rather than trusted to stay
//!                post_only: told anew, or an amended quote might take
//! ```
//! Noted when an order is sent and from every word the venue says of it. An order that is older is not amended
//! ([`Latest::of`] is `None`): it is cancelled and placed anew by whoever wants it otherwise. Nothing else of orders
//! is remembered here.
//! Source: venue page, section 4 (`private/edit`), and the venue's reference of it, read 2026-11-21.

use dp_types::Decimal;
use dp_venue_api::Latest;

/// The terms of an order, as the venue is told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Limit price.
    pub price: Decimal,
    /// Whole amount, in the instrument's unit.
    pub amount: Decimal,
    /// It must not take.
    pub is_post_only: bool,
}

/// The terms of the latest orders.
pub type Resting = Latest<Terms>;
