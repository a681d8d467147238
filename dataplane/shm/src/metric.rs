//! The fixed names of counters and stages. A name's place is its place in memory: the layout hash
//! covers the lists, so adding one is a new layout.

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them, in the order they lie in memory.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in JSON, in tables and in the database.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The inverse of `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// What a lane counts since the region was made. Single writer: the lane.
    Counter {
        /// WebSocket messages in.
        MessagesRx = "messages_rx",
        /// WebSocket texts of a hot shape, read by the venue's scanner.
        MessagesScanned = "messages_scanned",
        /// WebSocket texts read by the general parser: many more of them than before means that a venue has
        /// changed its words, and a slower lane.
        MessagesParsed = "messages_parsed",
        /// Payload bytes in, after decryption.
        BytesRx = "bytes_rx",
        /// Depth messages understood.
        BookEvents = "book_events",
        /// Public trades.
        TradeEvents = "trade_events",
        /// Best-quote messages.
        QuoteEvents = "quote_events",
        /// Messages that could not be understood.
        DecodeErrors = "decode_errors",
        /// Holes in a book's sequence.
        Gaps = "gaps",
        /// Books restarted from a snapshot.
        Resyncs = "resyncs",
        /// Book checksums that did not match.
        ChecksumFailures = "checksum_failures",
        /// Snapshots applied.
        Snapshots = "snapshots",
        /// Books found with bid at or above ask.
        CrossedBooks = "crossed_books",
        /// Messages of books that the venue's own connection was the first to bring, where several do.
        Feed0First = "feed_0_first",
        /// The same of the second one.
        Feed1First = "feed_1_first",
        /// The same of the third one.
        Feed2First = "feed_2_first",
        /// The same of the fourth one.
        Feed3First = "feed_3_first",
        /// Messages of books that another connection had brought before.
        FeedCopies = "feed_copies",
        /// Holes in what one connection brought that another filled.
        HolesFilled = "holes_filled",
        /// Times a connection's own book was found wrong and began anew, looked at or not, where each connection has its own.
        FeedResyncs = "feed_resyncs",
        /// Times the addresses of a host were raced beside a running link.
        Races = "races",
        /// Links that moved to a quicker address.
        LinkMoves = "link_moves",
        /// New orders written to a venue.
        OrdersSent = "orders_sent",
        /// Cancels written.
        CancelsSent = "cancels_sent",
        /// Amends written.
        AmendsSent = "amends_sent",
        /// Orders the venue took.
        Acks = "acks",
        /// Orders the venue refused.
        Rejects = "rejects",
        /// Executions, each counted once.
        Fills = "fills",
        /// Orders that ended cancelled.
        CancelsDone = "cancels_done",
        /// Orders our risk gate refused.
        RiskRefusals = "risk_refusals",
        /// Watches that tripped, and fills that took a position over its limit.
        RiskTrips = "risk_trips",
        /// Requests held back by a venue's rate budget.
        RateRefusals = "rate_refusals",
        /// Orders and amends not sent because the order link was full.
        BacklogRefusals = "backlog_refusals",
        /// Orders not sent for want of journal room.
        JournalRefusals = "journal_refusals",
        /// Orders whose outcome became unknown.
        UnknownOrders = "unknown_orders",
        /// Reports on orders of an earlier epoch.
        StaleEpochFrames = "stale_epoch_frames",
        /// Executions seen again and dropped.
        DuplicateFills = "duplicate_fills",
        /// Trades and quotes at less than half or more than twice the book's mid: dropped.
        AbsurdPrices = "absurd_prices",
        /// Depth messages that came too late to trade on.
        LateBooks = "late_books",
        /// Fills of orders this run does not know.
        ForeignFills = "foreign_fills",
        /// Reports that would take an order where it cannot go.
        IllegalTransitions = "illegal_transitions",
        /// Connections opened again.
        Reconnects = "reconnects",
        /// TLS errors.
        TlsFaults = "tls_faults",
        /// WebSocket protocol errors.
        WsFaults = "ws_faults",
        /// FIX sessions that ended otherwise than in good order.
        FixFaults = "fix_faults",
        /// WebSocket pings answered.
        WsPings = "ws_pings",
        /// HTTP requests sent.
        HttpRequests = "http_requests",
        /// HTTP requests that failed or were refused.
        HttpErrors = "http_errors",
        /// Ticks dropped because nobody drained the ring.
        TicksDropped = "ticks_dropped",
        /// Raw frames received (AF_XDP; the kernel's TCP counts its own, here and below).
        FramesIn = "frames_in",
        /// Raw frames sent.
        FramesOut = "frames_out",
        /// Raw frames that were broken, forged or nobody's.
        FramesRefused = "frames_refused",
        /// Raw frames the kernel dropped for want of room in a ring or of buffers.
        FramesDropped = "frames_dropped",
        /// Raw frames whose checksum did not fit.
        BadChecksums = "bad_checksums",
        /// TCP segments of ours sent again.
        TcpRetransmits = "tcp_retransmits",
        /// TCP retransmission time-outs.
        TcpTimeouts = "tcp_timeouts",
        /// SACK blocks received.
        TcpSackBlocks = "tcp_sack_blocks",
        /// TCP segments that came before their turn.
        TcpOutOfOrder = "tcp_out_of_order",
        /// Times the card's cable was pulled or the interface switched off.
        LinkDowns = "link_downs",
        /// Times the interface became another (MTU, hardware address): its connections were opened again.
        LinkChanges = "link_changes",
        /// Times a next hop had another hardware address than before.
        NeighbourChanges = "neighbour_changes",
        /// What the ring to the engine's lane had no room for: books restart, the order link opens anew.
        RingLosses = "ring_losses",
        /// New orders and amends refused because the ring to the gateway was half full.
        RingRefusals = "ring_refusals",
        /// Turns of the duty cycle.
        DutyCycles = "duty_cycles",
        /// Turns that found nothing to do.
        IdleCycles = "idle_cycles",
    }
}

named! {
    /// What a lane times, in TSC cycles. Single writer: the lane.
    Stage {
        /// TLS record in → plain text.
        Decrypt = "decrypt",
        /// Plain text → normalised event.
        Decode = "decode",
        /// Event → book.
        Book = "book",
        /// Book → wishes.
        Strategy = "strategy",
        /// Wish → cleared or refused.
        Risk = "risk",
        /// Cleared → named order.
        Oms = "oms",
        /// Intent → journal ring.
        Journal = "journal",
        /// Order → venue text.
        Encode = "encode",
        /// Text → TLS record.
        Seal = "seal",
        /// Bytes in from the wire → order bytes handed to the transport.
        TickToTrade = "tick_to_trade",
        /// Order bytes handed to the transport → the venue's answer decoded.
        OrderToAck = "order_to_ack",
        /// Cancel bytes handed to the transport → the venue's answer decoded.
        CancelToAck = "cancel_to_ack",
        /// One turn of the duty cycle that found work.
        DutyCycle = "duty_cycle",
    }
}

impl Counter {
    /// Of each feed of a venue: messages it was the first to bring.
    pub const FEED_FIRSTS: [Self; 4] = [
        Self::Feed0First,
        Self::Feed1First,
        Self::Feed2First,
        Self::Feed3First,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_come_back() {
        for (at, one) in Counter::ALL.iter().enumerate() {
            assert_eq!(
                (*one as usize, Counter::from_name(one.name())),
                (at, Some(*one))
            );
        }
        for (at, one) in Stage::ALL.iter().enumerate() {
            assert_eq!(
                (*one as usize, Stage::from_name(one.name())),
                (at, Some(*one))
            );
        }
    }
}
