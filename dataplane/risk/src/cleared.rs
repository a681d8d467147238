//! The proof that the gate let something pass.

use core::ops::Deref;

/// Something the gate let pass. Only this crate makes one, and it is neither `Copy` nor `Clone`:
/// one clearance, one send.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a cleared order that is not sent has used up rate"]
pub struct Cleared<T>(T);

impl<T> Cleared<T> {
    /// Minted by the gate alone.
    pub(crate) const fn mint(inner: T) -> Self {
        Self(inner)
    }

    /// Gives up the clearance and returns what it held.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Cleared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
