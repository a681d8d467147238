//! A value in locked pages, and the wiping of what making and using it left on the stack.

use crate::page::{Kind, Page, SecretError};
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::Deref;
use zeroize::Zeroize;

/// A value in pages of its own: see the crate. Only what is in the value itself is there, nothing it points to.
pub struct Locked<T> {
    page: Page,
    value: core::marker::PhantomData<T>,
}

impl<T> Locked<T> {
    /// Moves a value there and wipes the place it came from. The caller's own copies are the caller's: [`scrub`].
    /// Errors: [`SecretError`].
    pub fn new(value: T) -> Result<Self, SecretError> {
        const { assert!(align_of::<T>() <= 4096, "a page begins where T may") };
        let page = Page::new(size_of::<T>())?;
        let mut value = ManuallyDrop::new(value);
        let from = (&raw mut *value).cast::<MaybeUninit<u8>>();
        // SAFETY: both are `size_of::<T>()` long, the page is aligned for any `T`, and they do not overlap.
        unsafe { core::ptr::copy_nonoverlapping(from, page.as_ptr().cast(), size_of::<T>()) };
        // SAFETY: the bytes of a local that is neither read nor dropped again.
        let bytes = unsafe { core::slice::from_raw_parts_mut(from, size_of::<T>()) };
        bytes.zeroize();
        Ok(Self {
            page,
            value: core::marker::PhantomData,
        })
    }

    /// As [`Locked::new`]; where no memory can be locked the process ends, as where there is none at all.
    pub fn of(value: T) -> Self {
        Self::new(value).unwrap_or_else(|_| {
            std::alloc::handle_alloc_error(core::alloc::Layout::new::<T>());
        })
    }

    /// The value, to be changed where it is.
    pub const fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the borrow is the only one.
        unsafe { &mut *self.page.as_ptr().cast::<T>() }
    }

    /// What the kernel gave.
    pub const fn kind(&self) -> Kind {
        self.page.kind
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` moved a `T` there, which lives as long as the page.
        unsafe { &*self.page.as_ptr().cast::<T>() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: it is dropped once, here; the page is wiped after it.
        unsafe { core::ptr::drop_in_place(self.page.as_ptr().cast::<T>()) };
    }
}

impl<T> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(hidden)")
    }
}

/// Overwrites `WORDS` times eight bytes of the stack below the caller: what the calls before this one left there.
#[inline(never)]
pub fn scrub<const WORDS: usize>() {
    let mut room = [const { MaybeUninit::<u64>::uninit() }; WORDS];
    room.as_mut_slice().zeroize();
    core::hint::black_box(&room);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counted<'a>(&'a std::cell::Cell<u32>, [u8; 5000]);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            assert_eq!(self.1, [7; 5000], "still there when dropped");
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_value_larger_than_a_page_is_kept_and_dropped_once() {
        let drops = std::cell::Cell::new(0);
        let locked = Locked::new(Counted(&drops, [7; 5000])).unwrap();
        assert_eq!((locked.1[0], locked.1[4999], drops.get()), (7, 7, 0));
        drop(locked);
        assert_eq!(drops.get(), 1);
    }

    #[test]
    fn nothing_of_it_prints() {
        let locked = Locked::new(0xdead_beef_u32).unwrap();
        assert_eq!(format!("{locked:?}"), "Locked(hidden)");
    }
}
