//! `spinlane venue list`: the venues of this build and what each can do, from the machines themselves. The README's
//! table is this one without those that take no orders, and a test holds it to that.

use crate::tools::{Tool, with_tool};
use dp_types::VenueId;
use dp_venue_api::{
    BatchNew, Capabilities, EntryLink, Positions, Registry, SingleOrders, Venue as _,
};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Prints the list: JSON, or a table of at most 80 columns.
///
/// Errors: none but a machine that cannot be built without symbols, which would be a bug.
pub fn run(is_json: bool) -> anyhow::Result<()> {
    let venues = venues()?;
    if is_json {
        let list: Vec<_> = venues.iter().map(|(id, can)| as_json(*id, can)).collect();
        println!("{}", json!({ "venues": list }));
    } else {
        print!("{}", matrix(&venues));
    }
    Ok(())
}

/// Every venue of this build with what it can do, by number.
///
/// Errors: as [`run`].
pub fn venues() -> anyhow::Result<Vec<(VenueId, &'static Capabilities)>> {
    let mut venues = Vec::new();
    for id in (0..=u8::MAX).map(VenueId) {
        if let Some(capabilities) = of(id)? {
            venues.push((id, capabilities));
        }
    }
    Ok(venues)
}

/// What a venue can do; `None`: this build has no machine for it. Errors: as [`run`].
pub fn of(id: VenueId) -> anyhow::Result<Option<&'static Capabilities>> {
    let machine = with_tool!(id, T => {
        T::machine(Vec::new(), &mut Registry::new()).map(|machine| machine.capabilities())
    });
    Ok(machine.transpose()?)
}

const fn entry(entry: EntryLink) -> &'static str {
    match entry {
        EntryLink::WebSocket => "WS",
        EntryLink::Rest => "REST",
        EntryLink::Fix => "FIX",
        EntryLink::None => "-",
    }
}

/// What can be changed of a resting order.
const fn amend(can: &Capabilities) -> &'static str {
    match (can.amend_price, can.amend_qty, can.amend_reduce_only) {
        (true, true, _) => "price qty",
        (true, false, _) => "price",
        (false, true, true) => "less qty",
        (false, true, false) => "qty",
        (false, false, _) => "-",
    }
}

/// How a book proves that it is whole.
const fn proof(can: &Capabilities) -> &'static str {
    if matches!(can.entry, EntryLink::None) {
        // Each price is a whole book.
        "whole"
    } else if can.book_checksum {
        "checksum"
    } else {
        "numbers"
    }
}

/// Whether it shows single orders: to everybody, or to who has keys.
const fn single_orders(can: &Capabilities) -> &'static str {
    match can.single_orders {
        SingleOrders::None => "-",
        SingleOrders::Public => "x",
        SingleOrders::Keyed => "key",
        SingleOrders::Multicast => "UDP",
    }
}

/// Whether it tells the positions of derivatives; `no`: we trade some there, and are not told.
const fn positions(can: &Capabilities) -> &'static str {
    match can.positions {
        Positions::None => "-",
        Positions::Untold => "no",
        Positions::Listed => "x",
    }
}

const fn batch(can: &Capabilities) -> &'static str {
    match (can.batch_new, can.batch) {
        (BatchNew::Link, _) => "new",
        (BatchNew::Rest, _) => "rest",
        (BatchNew::None, true) => "x",
        (BatchNew::None, false) => "-",
    }
}

fn as_json(id: VenueId, can: &Capabilities) -> Value {
    json!({
        "venue": id.name(),
        "entry": entry(can.entry),
        "amend_price": can.amend_price,
        "amend_qty": can.amend_qty,
        "amend_reduce_only": can.amend_reduce_only,
        "cancel_all": can.cancel_all,
        "batch": can.batch,
        "batch_new": can.batch_new.name(),
        "dead_man_switch": can.dead_man_switch,
        "market": can.market,
        "ioc": can.ioc,
        "fok": can.fok,
        "post_only": can.post_only,
        "validity_window": can.validity_window,
        "book_checksum": can.book_checksum,
        "book_depth": can.book_depth,
        "single_orders": can.single_orders.name(),
        "positions": can.positions.name(),
    })
}

/// The table of the README: Markdown, at most 80 columns.
pub fn matrix(venues: &[(VenueId, &Capabilities)]) -> String {
    let mark = |can: bool| if can { "x" } else { "-" }.to_owned();
    let mut rows = vec![
        [
            "venue", "entry", "amend", "all", "batch", "dms", "post", "ioc", "fok", "win", "book",
            "l3", "pos",
        ]
        .map(str::to_owned),
    ];
    for (id, can) in venues {
        rows.push([
            id.name().to_owned(),
            entry(can.entry).to_owned(),
            amend(can).to_owned(),
            mark(can.cancel_all),
            batch(can).to_owned(),
            mark(can.dead_man_switch),
            mark(can.post_only),
            mark(can.ioc),
            mark(can.fok),
            mark(can.validity_window),
            proof(can).to_owned(),
            single_orders(can).to_owned(),
            positions(can).to_owned(),
        ]);
    }
    let width = |column: usize| {
        let cells = rows
            .iter()
            .map(|row| row.get(column).map_or(0, String::len));
        cells.max().unwrap_or(0)
    };
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(text, "|{cell:<0$}", width(column));
        }
        text.push_str("|\n");
        if at == 0 {
            for column in 0..row.len() {
                let _ = write!(text, "|{}", "-".repeat(width(column)));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_this_very_table() {
        let readme = include_str!("../../../README.md");
        let mut venues = venues().expect("machines");
        venues.retain(|(_, can)| can.entry != EntryLink::None);
        let table = matrix(&venues);
        assert!(
            table.lines().all(|line| line.chars().count() <= 80),
            "{table}"
        );
        assert!(
            readme.contains(&table),
            "put this into the README (spinlane venue list):\n{table}"
        );
    }

    /// The configuration knows no machine, so it names the venues by itself.
    #[test]
    fn the_configuration_offers_batches_as_the_machines_have_them() {
        for (id, can) in venues().expect("machines") {
            let by_rest = dp_config::BATCHES_BY_REST.contains(&id);
            let by_link = dp_config::BATCHES_BY_LINK.contains(&id);
            let want = (
                can.batch_new == BatchNew::Rest,
                can.batch_new == BatchNew::Link,
            );
            assert_eq!((by_rest, by_link), want, "{id}");
        }
    }

    #[test]
    fn every_venue_of_the_build_is_listed_once_and_can_place_and_cancel() {
        let venues = venues().expect("machines");
        let mut names: Vec<_> = venues.iter().map(|(id, _)| id.name()).collect();
        assert!(names.contains(&"binance") && names.contains(&"okx"));
        names.dedup();
        assert_eq!(names.len(), venues.len());
        for (id, can) in &venues {
            assert_eq!(id.takes_orders(), can.entry != EntryLink::None, "{id}");
            assert_eq!(
                can.post_only && can.ioc,
                id.takes_orders(),
                "{id}: a market maker could not work there"
            );
            let json = as_json(*id, can);
            assert_eq!(json["venue"], id.name());
        }
    }
}
