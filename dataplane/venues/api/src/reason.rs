//! Why a message is of no use to us: the closed list.
//!
//! A machine names the case in its own words (`Event::Ignored`); each of these words belongs to one [`Reason`].
//! Words that are in no reason are a mistake: the venues' test rig and `spinlane venue decode` both say so.

macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $reason:ident = $name:literal [$($words:literal),* $(,)?];)+) => {
        /// Why a message is ignored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $reason,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$reason),+];

            /// The reason as `venue decode` prints it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)+
                }
            }

            /// What it means, for people.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$reason => concat!($($meaning),+).trim(),)+
                }
            }

            /// The reason a machine's words belong to; `None` when they are not in the list.
            pub fn of(words: &str) -> Option<Self> {
                match words {
                    $($name $(| $words)* => Some(Self::$reason),)+
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// The recording notes that a connection was opened.
    Opened = "connection opened" [];
    /// A request of the client, not a word of the venue.
    Sent = "sent by the client" [];
    /// Prices of a span of time: made of trades.
    Candle = "candle" ["candles"];
    /// What a position pays or earns for time, and what rate it will be.
    Funding = "funding" [
        "funding rate", "mark price and funding", "a settlement: no trade of an order",
        "an income that is no funding", "funding was paid: which, the venue is asked",
    ];
    /// A price that is computed and not traded.
    Mark = "mark or index price" ["average or reference price", "index", "status of a derivative"];
    /// How many contracts are open.
    OpenInterest = "open interest" [];
    /// Sums over time or accounts: volumes of a day, ratios of long and short, sensitivities.
    Statistics = "statistics" ["ticker of a day", "greeks", "a trade whose taker is not told"];
    /// A ticker that tells no price of its own: the book and the trades tell sooner.
    Ticker = "ticker" ["a ticker without sizes"];
    /// Somebody's position was closed by the venue: the trade itself is told as one.
    Liquidation = "liquidation" ["liquidations"];
    /// An auction goes on: nothing trades.
    Auction = "auction" [];
    /// Loans and margin: we borrow nothing and lend nothing.
    Margin = "margin or lending" [
        "margin: we do not borrow", "margin info", "a wallet's margin, not its balance",
        "the margin of one inverse contract", "assets under management",
    ];
    /// What a position is worth, or one that is kept from fills.
    Position = "position is kept from fills" [
        "a position's value, not its size", "positions are kept from fills",
        "a position that is kept from fills", "one leg of a hedged position",
        "an account feed that is read by REST",
    ];
    /// Rules of instruments: registered, they show in the events of other messages.
    Instruments = "rules of instruments" [
        "rules are read at the start", "rules are not known yet",
        "instruments: rules wait for the registry", "instruments: their rules come by REST",
        "status: rules are read from the list of products",
    ];
    /// Lists of coins, networks, rates and fees.
    Assets = "assets, rates or fees" ["rates, for the fees of fills"];
    /// A deposit, a withdrawal, an address or a transfer: the balance is told apart.
    Transfer = "deposit, withdrawal or transfer" [
        "a deposit, withdrawal or transfer; the balance is told apart", "a lock from outside trading",
    ];
    /// Services of the venue beside its exchange: users, payments, merchants.
    Service = "service beside the exchange" [];
    /// What we asked for was taken: a subscription, a login, a flag.
    Confirmed = "confirmed" [
        "subscription confirmed", "subscriptions", "unsubscribed", "flags confirmed", "login accepted",
        "login accepted; LoggedIn follows the subscriptions",
        "login accepted; LoggedIn follows when both sockets are ready",
        "login refused: books of every 100 ms", "logged on; LoggedIn follows the user stream",
        "a login on a link of market data", "user data stream on", "the user data subscription ended",
        "the private stream runs", "the spot account is known", "a confirmation of nothing we asked",
        "a book was left, to be entered anew", "a private channel was left, to be entered anew",
        "a control answer", "listen keys are retired", "a listen key is kept alive",
    ];
    /// The venue or the connection is up, busy or under maintenance.
    Status = "status of the venue" [
        "system status", "status", "welcome", "connected", "connected to orders", "the venue operates",
        "connection count", "maintenance ended", "maintenance: nothing new is sent until it ends",
    ];
    /// Nothing but a sign of life.
    Heartbeat = "heartbeat" ["a pong"];
    /// The venue's clock.
    Clock = "clock of the venue" [];
    /// The switch that cancels our orders when we fall silent.
    DeadMan = "dead man's switch" [
        "dead man's switch armed", "the account has no dead man's switch",
    ];
    /// Something to log in with.
    Token = "token or challenge" [
        "a token for a link", "a token nobody waits for", "token; LoggedIn follows the subscriptions",
        "a token; LoggedIn follows the subscriptions", "the challenge of a login", "a challenge to sign",
    ];
    /// An answer that lists nothing, or says that there is nothing.
    Nothing = "nothing there" [
        "an empty list", "no open order", "no such order", "nothing was open", "a trade of nothing",
        "no such order yet: its request may still arrive", "not an open order: asked among the closed",
        "not open: looked for among those that ended", "a query was refused", "no trades yet",
    ];
    /// An answer about orders of another client of the account.
    NotOurs = "not our orders" [
        "an answer about orders that are not ours", "an answer about an order that is not ours",
        "an answer to a request that is not ours", "a stranger's order that was never named",
        "a stranger's trade without its side", "received: an order that is not ours",
    ];
    /// Of an instrument or an asset that is not configured.
    NotFollowed = "not followed" [
        "an instrument we do not follow", "about an instrument we do not follow",
        "of an instrument we do not follow", "an order of an instrument we do not follow",
        "a fill of an instrument we do not follow", "an asset we do not trade",
        "a balance of an asset nobody trades here", "a balance of another account",
        "a balance of another wallet", "a wallet we do not trade from", "a futures account", "options",
        "a private message of swaps, which we do not trade",
        "an answer of swaps' private socket, which we do not open",
    ];
    /// Another message tells the same, sooner or with more in it.
    Twin = "told by another message" [
        "the private stream tells how it ended", "a second book channel of this instrument", "a second book feed of this instrument",
        "a second book of this instrument", "a book of retail orders", "an older best quote",
        "a trade that was told before", "a snapshot nobody waits for",
        "a snapshot of some levels", "a snapshot that began before the hole", "a snapshot whose beginning was missed",
        "a mark in the round of snapshots",
        "a batch was taken: its orders tell how it went", "a cancellation: orders# tells the same",
        "a cancel of several orders was refused", "all cancelled; each is streamed",
        "all are cancelled: the user channel tells each",
        "all orders are being cancelled; the stream tells of each",
        "cancel-all accepted; the order stream tells of each", "an execution, which the fills tell",
        "an execution before its fee is known: told when it is",
        "fills: the orders channel tells the same", "balance: it is read by reconciliation",
        "a balance without what is free of it", "a wallet before what is free in it is known: asked for",
        "an order accepted and not live yet", "an order on its way to the book",
        "an order as it stood before a link was lost",
        "an order that is not on the book yet", "an order event without its order",
        "an update of an order whose beginning was not seen",

        "a stop order was activated: we send none", "stop orders: we send none",
        "order list: we place none", "block trade: not of the book",
        "rfq match: it was never on the book", "a request for quotes: it is not on the book", "the retired feed of single orders",
    ];
    /// Words for people.
    Notice = "notice" [
        "a notice", "a notification", "an info", "an alert for people", "an error without words",
    ];
    /// The venue wants us to slow down.
    Rate = "refused for rate" ["a request for missing packets was refused"];
    /// An answer to nothing we ask, or to something no longer waited for.
    Unasked = "not asked for" [
        "a REST answer without its URL", "a REST answer of a retired generation",
        "an answer of another reconciliation", "an answer to what we do not ask",
        "an answer to what we do not ask for", "an answer we did not ask for",
        "an answer we do not wait for", "a binary message we did not ask for", "a list of all symbols",
        "the retired v3 protocol", "a channel that was not subscribed here",
    ];
    /// Of no kind we know, and no field of it is of a book, a trade, an order, a fill or a balance.
    Unknown = "unknown kind" [
        "a channel we do not know", "a channel we do not use", "a feed we do not use",
        "a topic we do not use", "a private channel we do not use", "a unified channel we do not use",
        "a frame of a kind we do not know", "a message of a kind we do not know",
        "a message we do not know", "an action we do not know", "an event we do not know",
        "an event we do not use",
    ];
}

impl Reason {
    /// Whether it tells nothing of the message itself: a reason found by its content says more.
    pub const fn is_vague(self) -> bool {
        matches!(
            self,
            Self::Unasked | Self::Unknown | Self::Twin | Self::NotFollowed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unlike_and_mean_something() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.meaning().ends_with('.'), "{reason:?}");
            assert_eq!(Reason::of(reason.name()), Some(*reason));
        }
        assert_eq!(Reason::of("candles"), Some(Reason::Candle));
        assert_eq!(Reason::of("made up"), None);
    }
}
