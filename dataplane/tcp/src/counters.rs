//! What happened, in numbers. Plain words: one writer, copied out by whoever shows them.

macro_rules! counters {
    ($(#[$outer:meta])* $name:ident { $($(#[$meta:meta])* $field:ident,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$meta])* pub $field: u64,)*
        }

        impl $name {
            /// Adds another's counts to these.
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)*
            }

            /// Names and values, for whoever prints or exports them.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Counts of one connection.
    Counters {
        /// Segments received that belong to the connection.
        segments_in,
        /// Segments sent, repeated ones too.
        segments_out,
        /// Payload octets received in order, each once.
        bytes_in,
        /// Payload octets acknowledged by the peer.
        bytes_acked,
        /// Segments sent again.
        retransmits,
        /// Segments found lost by RACK (RFC 8985, 6.2).
        rack_losses,
        /// Segments found lost by duplicate ACKs, when the peer has no SACK.
        dup_ack_losses,
        /// Tail loss probes sent (RFC 8985, 7).
        tail_loss_probes,
        /// Retransmission time-outs.
        timeouts,
        /// Time-outs and recoveries that timestamps showed to be spurious (RFC 3522).
        spurious,
        /// SACK blocks received that were in range.
        sack_blocks_in,
        /// SACK blocks sent.
        sack_blocks_out,
        /// DSACK blocks received (RFC 2883): our copy was not needed.
        dsacks_in,
        /// Segments with something already had.
        duplicates_in,
        /// Segments that arrived before their turn.
        out_of_order_in,
        /// Octets not kept: too many gaps, or a peer beyond our window.
        refused_bytes,
        /// Segments older than the timestamps already seen (RFC 7323, 5).
        paws_drops,
        /// Segments without timestamps on a connection that has agreed to them.
        unstamped_drops,
        /// Segments outside the receive window.
        out_of_window,
        /// Challenge ACKs sent (RFC 5961).
        challenge_acks,
        /// Resets that did not prove themselves (RFC 9293, 3.10.7; RFC 5961, 3): strays, or forged.
        resets_refused,
        /// Questions into a closed window.
        zero_window_probes,
        /// Questions into silence.
        keepalive_probes,
        /// Times the path MTU was lowered.
        mtu_lowered,
        /// Times the peer took back what it had selectively acknowledged.
        reneged,
    }
}

counters! {
    /// Counts of a stack: frames that reached no connection, or one not by way of TCP.
    StackCounters {
        /// Frames shown.
        frames_in,
        /// Frames made.
        frames_out,
        /// Not for us: the kernel's.
        passed,
        /// Headers that contradict themselves.
        malformed,
        /// Checksums that do not fit.
        bad_checksums,
        /// IPv4 fragments.
        fragments,
        /// Segments to a port of ours that no connection has.
        unknown,
        /// Resets sent for those.
        resets_out,
        /// SYNs refused because all places are taken.
        syns_refused,
        /// Unconfirmed connections that gave way to newer ones: a SYN flood.
        half_open_evicted,
        /// ICMP errors about a connection of ours.
        icmp_errors,
        /// ICMP errors that quote what was never sent.
        icmp_forged,
        /// Answers that found their queue full.
        replies_dropped,
        /// Segments that could not leave for want of the neighbour's hardware address.
        no_neighbour,
    }
}
