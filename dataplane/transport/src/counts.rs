//! What a transport that brings its own stack counts: for the lane's metric page.

use core::ops::Sub;

macro_rules! counts {
    ($(#[$outer:meta])* $name:ident { $($(#[$meta:meta])* $field:ident,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$meta])* pub $field: u64,)*
        }

        impl Sub for $name {
            type Output = Self;

            /// What came since `before`.
            fn sub(self, before: Self) -> Self {
                Self { $($field: self.$field.wrapping_sub(before.$field),)* }
            }
        }
    };
}

counts! {
    /// Counts since the transport was opened. The kernel's TCP keeps its own: all 0 there.
    Counts {
        /// Frames received.
        frames_in,
        /// Frames sent.
        frames_out,
        /// Received frames that were broken, forged or nobody's.
        frames_refused,
        /// Received frames the kernel dropped: no room in the ring, or every buffer held.
        frames_dropped,
        /// Frames whose checksum did not fit.
        bad_checksums,
        /// TCP segments sent again.
        retransmits,
        /// TCP retransmission time-outs.
        timeouts,
        /// SACK blocks the peers sent: something of ours was lost or late.
        sack_blocks,
        /// TCP segments that came before their turn: something of theirs was lost or late.
        out_of_order,
        /// Times the cable was pulled or the interface switched off.
        link_downs,
        /// Times the interface became another (address, MTU): its connections ended.
        link_changes,
        /// Times a next hop had another hardware address than before.
        neighbour_changes,
    }
}
