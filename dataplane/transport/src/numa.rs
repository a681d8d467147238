//! Memory on the node it is used from: asked for before the first touch, and asked back afterwards.
//!
//! ```text
//!   mmap ─▶ mbind(MPOL_BIND, node) ─▶ touch ─▶ move_pages(nodes = NULL): where is each page?
//! ```
//! A policy is a wish until pages exist: only the query says where they are. Sources: mbind(2), move_pages(2),
//! Documentation/admin-guide/mm/numa_memory_policy.rst.
//!
//! The two calls stand behind [`Nodes`], so that choice and failure are tested on machines with one node.

use core::ptr::NonNull;
use nix::errno::Errno;

/// Highest node number taken: one word of the kernel's mask.
pub const NODE_MAX: u16 = 63;
/// Pages asked about in one call.
const QUERY: usize = 512;

/// The kernel's two calls.
pub(crate) trait Nodes {
    /// Binds pages not yet there to a node.
    fn bind(&self, start: NonNull<u8>, bytes: usize, node: u16) -> Result<(), Errno>;
    /// Node of each page that begins at one of `pages`; negative: an error number of that page.
    fn whereabouts(&self, pages: &[*mut u8], nodes: &mut [i32]) -> Result<(), Errno>;
}

/// The machine itself.
pub(crate) struct Kernel;

impl Nodes for Kernel {
    fn bind(&self, start: NonNull<u8>, bytes: usize, node: u16) -> Result<(), Errno> {
        if node > NODE_MAX {
            return Err(Errno::EINVAL);
        }
        let mask: u64 = 1 << node;
        // SAFETY: mbind reads one word at `mask` (maxnode counts one bit more than the mask holds) and changes
        // no content of the range.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                start.as_ptr(),
                bytes,
                libc::MPOL_BIND,
                &raw const mask,
                u64::from(NODE_MAX) + 2,
                0,
            )
        };
        Errno::result(result).map(drop)
    }

    fn whereabouts(&self, pages: &[*mut u8], nodes: &mut [i32]) -> Result<(), Errno> {
        let count = pages.len().min(nodes.len());
        // SAFETY: with no target nodes move_pages moves nothing; it reads `count` addresses and writes `count`
        // numbers, and both slices have that many.
        let result = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0,
                count,
                pages.as_ptr(),
                core::ptr::null::<i32>(),
                nodes.as_mut_ptr(),
                0,
            )
        };
        Errno::result(result).map(drop)
    }
}

/// The one node all pages of a range are on; `None` = on several, not all there, or the kernel does not say.
pub(crate) fn node_of(
    kernel: &impl Nodes,
    start: NonNull<u8>,
    bytes: usize,
    page: usize,
) -> Option<u16> {
    let mut found = None;
    let addresses: Vec<*mut u8> = (0..bytes)
        .step_by(page)
        .map(|offset| start.as_ptr().wrapping_add(offset))
        .collect();
    for pages in addresses.chunks(QUERY) {
        let mut nodes = [-1; QUERY];
        let nodes = nodes.get_mut(..pages.len())?;
        kernel.whereabouts(pages, nodes).ok()?;
        for node in nodes {
            let node = u16::try_from(*node).ok()?;
            if *found.get_or_insert(node) != node {
                return None;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Two nodes: pages below `border` are on node 0, the others on node 1.
    struct Two {
        border: usize,
        asked: Cell<usize>,
        gone: Option<usize>,
    }

    impl Nodes for Two {
        fn bind(&self, _: NonNull<u8>, _: usize, node: u16) -> Result<(), Errno> {
            if node < 2 { Ok(()) } else { Err(Errno::EINVAL) }
        }

        fn whereabouts(&self, pages: &[*mut u8], nodes: &mut [i32]) -> Result<(), Errno> {
            self.asked.set(self.asked.get() + pages.len());
            for (page, node) in pages.iter().zip(nodes) {
                *node = i32::from(page.addr() >= self.border);
                if self.gone == Some(page.addr()) {
                    *node = -libc::ENOENT;
                }
            }
            Ok(())
        }
    }

    fn two(border: usize, gone: Option<usize>) -> Two {
        Two {
            border,
            asked: Cell::new(0),
            gone,
        }
    }

    const START: usize = 1 << 30;
    const PAGE: usize = 4096;

    fn start() -> NonNull<u8> {
        NonNull::new(core::ptr::without_provenance_mut(START)).unwrap()
    }

    #[test]
    fn a_range_is_on_a_node_when_every_page_is() {
        let bytes = 1200 * PAGE;
        let at = |border, gone| {
            let kernel = two(border, gone);
            (node_of(&kernel, start(), bytes, PAGE), kernel.asked.get())
        };
        assert_eq!(at(START, None), (Some(1), 1200));
        assert_eq!(at(START + bytes, None), (Some(0), 1200));
        assert_eq!(
            at(START + bytes - PAGE, None).0,
            None,
            "the last page is elsewhere"
        );
        assert_eq!(
            at(START, Some(START + 700 * PAGE)).0,
            None,
            "a page is not there"
        );
        assert_eq!(node_of(&two(0, None), start(), 0, PAGE), None);
    }

    #[test]
    fn this_machine_has_node_0_and_no_node_60() {
        let arena = crate::Arena::on_node(1 << 20, Some(0)).unwrap();
        assert_eq!(arena.node(), Some(0));
        let error = crate::Arena::on_node(1 << 20, Some(60))
            .map(drop)
            .unwrap_err();
        assert_eq!(error.errno, libc::EINVAL, "{error}");
        assert!(crate::Arena::on_node(1 << 20, Some(64)).is_err());
    }
}
