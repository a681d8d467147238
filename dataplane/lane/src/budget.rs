//! Which part of its venues' limits a lane may use.
//!
//! ```text
//! [venue.X] budget_pct ─▶ the node's part ─┬─ of the account   the gateway's, all of it: nobody else has keys
//!                                          └─ of the address   whole lane: all · feed and gateway apart: a half each
//! ```
//! Lanes do not talk about it: what one has not used the other cannot have, and no window is ever overrun for a message
//! that came late. A feed asks in bursts, for books, when it starts or has lost a stream; a gateway asks evenly, and where
//! orders are counted by address too (Binance) they are the most of it. Either is well served by a half: at Binance,
//! 60 books, or 2,400 orders, a minute.

use crate::any_venue::AnyVenue;
use dp_config::{Config, Role};
use dp_types::VenueId;
use dp_venue_api::limits::{Budget, Share};

/// Hundredths of the address's limits that a venue's feed has where its gateway is in another lane.
const FEED_PCT: u32 = 50;
/// Hundredths of the account's limits that further feeds have together: those that log on ask for a session, no more.
const FEED_ACCOUNT_PCT: u32 = 20;

/// A lane's part of a venue's limits.
pub fn of(config: &Config, lane: usize, venue: &str) -> Budget {
    let percent = config.venue.get(venue).map_or(100, |it| it.budget_pct);
    let node = Share::percent(percent);
    let has = |role| config.lanes_of(role, venue).contains(&lane);
    let has_gateway_elsewhere = !config.lanes_of(Role::Gateway, venue).is_empty();
    let address = match (has(Role::Feed), has(Role::Gateway)) {
        (true, false) if has_gateway_elsewhere => node.part(FEED_PCT),
        (false, true) => node.part(100 - FEED_PCT),
        _ => node,
    };
    Budget {
        account: node,
        address,
    }
}

/// What the venue's own machine and each further feed have of a lane's part: the feeds' half of the address is parted
/// evenly, and the own machine, which is a feed too, has the rest; of the account it has nearly all.
pub fn of_feeds(budget: Budget, feeds: usize) -> (Budget, Budget) {
    let feeds = u32::try_from(feeds.max(1)).unwrap_or(FEED_ACCOUNT_PCT);
    if feeds == 1 {
        return (budget, budget);
    }
    let parted = |whole: Share, percent: u32| {
        let further = (percent / feeds).max(1);
        let own = 100u32.saturating_sub(further * (feeds - 1));
        (whole.part(own), whole.part(further))
    };
    let account = parted(budget.account, FEED_ACCOUNT_PCT);
    let address = parted(budget.address, FEED_PCT);
    let budget = |account, address| Budget { account, address };
    (budget(account.0, address.0), budget(account.1, address.1))
}

/// The same for people, a venue a text: `binance 50 % of the account, 25 % of the address`.
pub fn texts(config: &Config, lane: usize) -> Vec<String> {
    let sockets = config.lane.get(lane).filter(|it| it.has_sockets());
    let names = sockets.into_iter().flat_map(|it| &it.venues);
    let text = |name: &String| {
        let budget = of(config, lane, name);
        let address = budget.address.text();
        if config.lanes_of(Role::Gateway, name).contains(&lane) {
            let account = budget.account.text();
            format!("{name} {account} of the account, {address} of the address")
        } else {
            format!("{name} {address} of the address")
        }
    };
    names.map(text).collect()
}

/// Whether each lane can do its work with its parts. Errors: a line with the mend for each that cannot.
pub fn check(config: &Config) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (index, lane) in config.lane.iter().enumerate() {
        for name in lane.venues.iter().filter(|_| lane.has_sockets()) {
            let feeds = config.venue.get(name).map_or(1, |it| usize::from(it.feeds));
            let (budget, _) = of_feeds(of(config, index, name), feeds);
            let lacks = VenueId::from_name(name).and_then(|id| AnyVenue::lacks(id, budget));
            if let Some(what) = lacks {
                wrong.push(format!(
                    "venue.{name}.budget_pct: lane {index} has {} of the account's limits and {} of the address's, \
                     which cannot hold {what}: give this node more, or its feed and gateway one lane",
                    budget.account.text(),
                    budget.address.text()
                ));
            }
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "[[lane]]\nvenues = [\"binance\", \"deribit\"]\n";
    const SPREAD: &str = "[[lane]]\nroles = [\"feed\"]\nvenues = [\"binance\", \"deribit\"]\n\
        [[lane]]\nroles = [\"engine\", \"journal\"]\n\
        [[lane]]\nroles = [\"gateway\"]\nvenues = [\"binance\"]\n";

    fn config(lanes: &str, percent: u32) -> Config {
        let venue = |name: &str| {
            format!(
                "[venue.{name}]\nrest = \"l:1\"\npublic = \"l:1\"\nprivate = \"l:1\"\nsymbols = []\n\
                 budget_pct = {percent}\n"
            )
        };
        let node = "[node]\nname = \"t\"\nshm = \"/dev/shm/t\"\nstate_dir = \"/tmp/t\"\n";
        let text = [node, lanes, &venue("binance"), &venue("deribit")].concat();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    #[test]
    fn a_whole_lane_has_the_nodes_part() {
        let config = config(WHOLE, 50);
        assert_eq!(of(&config, 0, "binance"), Budget::of(Share::percent(50)));
        assert_eq!(
            texts(&config, 0),
            [
                "binance 50 % of the account, 50 % of the address",
                "deribit 50 % of the account, 50 % of the address"
            ]
        );
        assert_eq!(check(&config), Ok(()));
    }

    #[test]
    fn feed_and_gateway_share_the_address_and_together_have_no_more_than_the_node() {
        let config = config(SPREAD, 50);
        let (feed, gateway) = (of(&config, 0, "binance"), of(&config, 2, "binance"));
        assert_eq!(gateway.account, Share::percent(50));
        for limit in [10, 600, 6_000] {
            let both = feed.address.of(limit) + gateway.address.of(limit);
            assert!(both <= Share::percent(50).of(limit));
        }
        assert_eq!(
            texts(&config, 0),
            ["binance 25 % of the address", "deribit 50 % of the address"],
            "nobody else asks deribit"
        );
        assert_eq!(
            texts(&config, 2),
            ["binance 50 % of the account, 25 % of the address"]
        );
        assert_eq!(texts(&config, 1), [""; 0]);
        assert_eq!(check(&config), Ok(()));
    }

    #[test]
    fn feeds_together_use_no_more_than_one() {
        let lane = Budget::of(Share::percent(50));
        assert_eq!(of_feeds(lane, 1).0, lane);
        for feeds in 2..=4 {
            let (own, further) = of_feeds(lane, feeds);
            for limit in [30, 600, 6_000] {
                for part in [
                    |budget: Budget| budget.account,
                    |budget: Budget| budget.address,
                ] {
                    let others = part(further).of(limit) * (feeds as u32 - 1);
                    let all = part(own).of(limit) + others;
                    assert!(
                        all <= part(lane).of(limit),
                        "{feeds} feeds: {all} of {limit}"
                    );
                    assert!(part(own).of(limit) > others, "orders are the own machine's");
                }
            }
        }
    }

    #[test]
    fn a_part_that_holds_no_order_or_book_is_refused_with_the_mend() {
        let error = check(&config(WHOLE, 1)).unwrap_err();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 2, "{error}");
        assert!(lines[0].contains("venue.binance.budget_pct: lane 0 has 1 %"));
        assert!(lines[0].contains("cannot hold a new order") && lines[0].contains("more"));
        assert!(lines[1].contains("venue.deribit.budget_pct"), "{error}");
        let error = check(&config(SPREAD, 2)).unwrap_err();
        assert!(error.contains("lane 2 has 2 % of the account's"), "{error}");
        assert!(
            error.contains("1 % of the address's, which cannot hold a book"),
            "{error}"
        );
    }
}
