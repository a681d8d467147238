//! A call that may panic, and what is left of the panic: a line of text.
//!
//! The process aborts on every other panic, strategies' calls alone are contained: their author is not ours, and one that
//! breaks must not take the others' orders with it. A contained panic prints nothing, since the lane waits for no
//! terminal; its words go to the log by the bounded queue and into the journal.

use dp_types::Text;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

thread_local! {
    /// A contained call is under way on this thread.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Line of the last contained panic; 0 = not known.
    static LINE: Cell<u32> = const { Cell::new(0) };
}

/// Calls, and says what it panicked with. Cost of a call that does not: two stores.
///
/// What the call had in its hands may be half done: the caller drops it, or makes it anew.
#[inline]
pub fn contain<T>(call: impl FnOnce() -> T) -> Result<T, Text<63>> {
    // By `with`: `LocalKey::set` goes through a function of its own, and this is done for every message of a book.
    IS_INSIDE.with(|inside| inside.set(true));
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IS_INSIDE.with(|inside| inside.set(false));
    outcome.map_err(text_of)
}

#[cold]
fn text_of(payload: Box<dyn core::any::Any + Send>) -> Text<63> {
    let words = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = match (LINE.replace(0), words.unwrap_or("panicked")) {
        (0, words) => Text::lossy(words),
        (line, words) => Text::lossy(&format!("line {line}: {words}")),
    };
    // A payload of somebody else's type may panic when it is dropped.
    dispose(payload);
    text
}

/// Drops what may panic when it is dropped.
pub fn dispose<T>(what: T) {
    IS_INSIDE.set(true);
    let dropped = catch_unwind(AssertUnwindSafe(move || drop(what)));
    IS_INSIDE.set(false);
    if let Err(payload) = dropped {
        // One that panics again and again is let be.
        core::mem::forget(payload);
    }
}

/// From now on a panic that is not contained ends the process at once, as it did where panics abort: what else stands on
/// a thread that broke is not to be trusted with orders. Contained ones are silent. For the program's `main`.
pub fn abort_on_others() {
    let report = take_hook();
    set_hook(Box::new(move |panic| {
        if IS_INSIDE.get() {
            LINE.set(panic.location().map_or(0, core::panic::Location::line));
            return;
        }
        report(panic);
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn what_panics_is_told_and_what_does_not_comes_back() {
        assert_eq!(contain(|| 7), Ok(7));
        let told = contain(|| panic!("plain")).map(|(): ()| ());
        assert_eq!(told.unwrap_err().as_str(), "plain");
        let told = contain(|| panic!("with {}", 3)).map(|(): ()| ());
        assert_eq!(told.unwrap_err().as_str(), "with 3");
        let told = contain(|| std::panic::panic_any(5)).map(|(): ()| ());
        assert_eq!(told.unwrap_err().as_str(), "panicked");
        assert!(!IS_INSIDE.get(), "the next panic is nobody's");
    }

    #[test]
    fn neither_a_drop_nor_a_payload_that_panics_gets_out() {
        dispose(Bomb);
        let told = contain(|| std::panic::panic_any(Bomb)).map(|(): ()| ());
        assert_eq!(told.unwrap_err().as_str(), "panicked");
    }
}
