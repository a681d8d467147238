//! Orders, fills, balances and positions in the words of the legacy interface, feed and REST.

use super::reply::{Refused, Row, double, double_price, double_qty, fill_id, list, order_id, side};
use super::time::rfc3339;
use super::{KrakenFutures, account};
use crate::core::Core;
use crate::engine::{AccountId, Cause, Fill, Order, PostOnly, Side, Spec, State, Tif, What};
use crate::text;

/// An order as a feed shows it: `qty` is what remains.
fn feed_order(spec: &Spec, symbol: &str, order: &Order) -> String {
    let row = Row::new()
        .text("instrument", symbol)
        .raw("time", order.created_ns / 1_000_000)
        .raw("last_update_time", order.updated_ns / 1_000_000)
        .raw("qty", double_qty(spec, order.leaves()))
        .raw("filled", double_qty(spec, order.cum))
        .raw(
            "limit_price",
            double_price(spec, order.ask.price.unwrap_or(0)),
        )
        .raw("stop_price", "0.0")
        .text("type", order.ask.type_name)
        .text("order_id", &order_id(order.id));
    row.text_if("cli_ord_id", &order.ask.client_id)
        .raw("direction", u8::from(order.ask.side == Side::Sell))
        .raw("reduce_only", false)
        .end()
}

const fn cancel_reason(cause: Cause) -> &'static str {
    match cause {
        Cause::User | Cause::CancelAll => "cancelled_by_user",
        Cause::Replaced => "edited_by_user",
        Cause::Ioc | Cause::Fok => "ioc_order_failed_because_it_would_not_be_executed",
        Cause::PostOnly => "post_order_failed_because_it_would_filled",
        Cause::SelfTrade => "would_execute_self",
        Cause::DeadMan => "dead_man_switch",
    }
}

/// The push of an order's event. A cancel names the order by its ids alone.
pub fn order_push(spec: &Spec, symbol: &str, order: &Order, what: What) -> String {
    let reason = match what {
        What::New => "new_placed_order_by_user",
        What::Fill(_) if order.state == State::Filled => "full_fill",
        What::Fill(_) => "partial_fill",
        What::Amended => "edited_by_user",
        What::Canceled(cause) => {
            let row = Row::new().text("feed", "open_orders");
            return row
                .text("order_id", &order_id(order.id))
                .text_if("cli_ord_id", &order.ask.client_id)
                .raw("is_cancel", true)
                .text("reason", cancel_reason(cause))
                .end();
        }
    };
    Row::new()
        .text("feed", "open_orders")
        .raw("order", feed_order(spec, symbol, order))
        .raw("is_cancel", false)
        .text("reason", reason)
        .end()
}

fn fill_type(fill: Fill) -> &'static str {
    if fill.is_maker { "maker" } else { "taker" }
}

/// A fill as the feed shows it.
pub fn feed_fill(spec: &Spec, symbol: &str, order: &Order, fill: Fill, seq: u64) -> String {
    Row::new()
        .text("instrument", symbol)
        .raw("time", fill.at_ns / 1_000_000)
        .raw("price", double_price(spec, fill.price))
        .raw("seq", seq)
        .raw("buy", order.ask.side == Side::Buy)
        .raw("qty", double_qty(spec, fill.qty))
        .raw("remaining_order_qty", double_qty(spec, order.leaves()))
        .text("order_id", &order_id(order.id))
        .text_if("cli_ord_id", &order.ask.client_id)
        .text("fill_id", &fill_id(fill.trade))
        .text("fill_type", fill_type(fill))
        .raw("fee_paid", double(&text::amount(fill.fee)))
        .text("fee_currency", &spec.quote)
        .text(
            "taker_order_type",
            if fill.is_maker {
                "ioc"
            } else {
                order.ask.type_name
            },
        )
        .text("order_type", order.ask.type_name)
        .end()
}

/// A fill as REST shows it.
pub fn rest_fill(spec: &Spec, symbol: &str, order: &Order, fill: Fill) -> String {
    Row::new()
        .text("fill_id", &fill_id(fill.trade))
        .text("symbol", symbol)
        .text("side", side(order.ask.side))
        .text("order_id", &order_id(order.id))
        .text_if("cliOrdId", &order.ask.client_id)
        .text("fillTime", &rfc3339(fill.at_ns, 3))
        .raw("size", text::qty(spec, fill.qty))
        .raw("price", double_price(spec, fill.price))
        .text("fillType", fill_type(fill))
        .raw("fee_paid", double(&text::amount(fill.fee)))
        .text("fee_currency", &spec.quote)
        .end()
}

/// An open order as REST lists it.
pub fn open_order(spec: &Spec, symbol: &str, order: &Order) -> String {
    let status = if order.cum == 0 {
        "untouched"
    } else {
        "partiallyFilled"
    };
    Row::new()
        .text("order_id", &order_id(order.id))
        .text_if("cliOrdId", &order.ask.client_id)
        .text("symbol", symbol)
        .text("side", side(order.ask.side))
        .text("orderType", "lmt")
        .raw(
            "limitPrice",
            double_price(spec, order.ask.price.unwrap_or(0)),
        )
        .raw("unfilledSize", text::qty(spec, order.leaves()))
        .text("receivedTime", &rfc3339(order.created_ns, 3))
        .text("status", status)
        .raw("filledSize", text::qty(spec, order.cum))
        .raw("reduceOnly", false)
        .text("lastUpdateTime", &rfc3339(order.updated_ns, 3))
        .end()
}

fn order_type(order: &Order) -> &'static str {
    match (order.ask.price, order.ask.tif, order.ask.post_only) {
        (None, ..) => "mkt",
        (_, Tif::Ioc, _) => "ioc",
        (_, Tif::Fok, _) => "fok",
        (_, _, PostOnly::No) => "lmt",
        _ => "post",
    }
}

/// An order inside an `orderEvents` item, and as `orders/status` has it.
pub fn event_order(spec: &Spec, symbol: &str, order: &Order, cum: i64) -> String {
    Row::new()
        .text("orderId", &order_id(order.id))
        .text_if("cliOrdId", &order.ask.client_id)
        .text("type", order_type(order))
        .text("symbol", symbol)
        .text("side", side(order.ask.side))
        .raw("quantity", text::qty(spec, order.qty))
        .raw("filled", text::qty(spec, cum))
        .raw_if(
            "limitPrice",
            order.ask.price.map(|price| text::price(spec, price)),
        )
        .raw("reduceOnly", false)
        .text("timestamp", &rfc3339(order.created_ns, 3))
        .text("lastUpdateTimestamp", &rfc3339(order.updated_ns, 3))
        .end()
}

/// One of `orderEvents`; an order that found nothing to take was rejected, says the venue.
pub fn order_event(spec: &Spec, symbol: &str, order: &Order, what: What) -> String {
    let whole = || event_order(spec, symbol, order, order.cum);
    let none = "null";
    match what {
        What::New => Row::new()
            .text("type", "PLACE")
            .raw("order", whole())
            .raw("reducedQuantity", none),
        What::Fill(fill) => Row::new()
            .text("type", "EXECUTION")
            .text("executionId", &fill_id(fill.trade))
            .raw("price", text::price(spec, fill.price))
            .raw("amount", text::qty(spec, fill.qty))
            .raw(
                "orderPriorExecution",
                event_order(spec, symbol, order, order.cum - fill.qty),
            )
            .raw("takerReducedQuantity", none),
        What::Amended => Row::new()
            .text("type", "EDIT")
            .raw("old", whole())
            .raw("new", whole())
            .raw("reducedQuantity", none),
        What::Canceled(Cause::Ioc | Cause::Fok) if order.cum == 0 => Row::new()
            .text("type", "REJECT")
            .text("uid", &order_id(order.id))
            .text("reason", "IOC_WOULD_NOT_EXECUTE")
            .raw("order", whole()),
        What::Canceled(_) => Row::new()
            .text("type", "CANCEL")
            .text("uid", &order_id(order.id))
            .raw("order", whole()),
    }
    .end()
}

/// `{"result":"success", …, "serverTime":…}` around a field.
pub fn success(core: &Core, key: &str, value: &str) -> String {
    let row = Row::new().text("result", "success").raw(key, value);
    row.text("serverTime", &rfc3339(super::venue_ns(core), 3))
        .end()
}

/// A refused request.
pub fn error(core: &Core, refused: &Refused) -> String {
    let row = Row::new()
        .text("result", "error")
        .text("error", refused.legacy());
    row.text("serverTime", &rfc3339(super::venue_ns(core), 3))
        .end()
}

/// Currencies of the common margin account; `quantity` is all, `available` what no order holds.
pub fn accounts(core: &Core, account: AccountId) -> String {
    let (mut currencies, mut equity, mut available) = (Row::new(), 0, 0);
    for (name, asset) in account::assets(core) {
        let balance = core.engine.ledger().balance(account, asset);
        let all = double(&text::amount(balance.free + balance.locked));
        let free = double(&text::amount(balance.free));
        let row = Row::new()
            .raw("quantity", &all)
            .raw("value", &all)
            .raw("collateral", &all);
        currencies = currencies.raw(&name, row.raw("available", free).end());
        if core.engine.spec(0).quote_asset == asset {
            (equity, available) = (balance.free + balance.locked, balance.free);
        }
    }
    let number = |amount| double(&text::amount(amount));
    let flex = Row::new()
        .text("type", "multiCollateralMarginAccount")
        .raw("currencies", currencies.end())
        .raw("availableMargin", number(available))
        .raw("marginEquity", number(equity))
        .raw("portfolioValue", number(equity))
        .raw("initialMargin", number(equity - available))
        .raw("maintenanceMargin", number((equity - available) / 2))
        .raw("pnl", "0.0")
        .raw("unrealizedFunding", "0.0");
    let cash = Row::new().text("type", "cashAccount").raw("balances", "{}");
    Row::new()
        .raw("cash", cash.end())
        .raw("flex", flex.end())
        .end()
}

impl KrakenFutures {
    /// Positions of an account that are not flat: instrument, signed quantity, entry price.
    fn held(&self, account: AccountId) -> impl Iterator<Item = (usize, i64, String)> {
        let engine = &self.core.engine;
        (0..engine.instruments()).filter_map(move |inst| {
            let (position, spec) = (engine.position(account, inst), engine.spec(inst));
            let base = spec.base_amount(position.qty.abs());
            let entry = position
                .cost
                .saturating_mul(100_000_000)
                .checked_div(base)?;
            Some((inst, position.qty, double(&text::trimmed(entry, 8))))
        })
    }

    /// Open positions as REST lists them.
    pub(super) fn rest_positions(&self, account: AccountId) -> String {
        let rows = self.held(account).map(|(inst, qty, entry)| {
            Row::new()
                .text("side", if qty > 0 { "long" } else { "short" })
                .text("symbol", &self.symbols[inst])
                .raw("price", entry)
                .text("fillTime", &rfc3339(super::venue_ns(&self.core), 3))
                .raw("size", text::qty(self.core.engine.spec(inst), qty.abs()))
                .raw("unrealizedFunding", "0.0")
                .end()
        });
        list(&rows.collect::<Vec<_>>())
    }

    /// The `open_positions` push.
    pub(super) fn positions_push(&self, account: AccountId) -> String {
        let rows = self.held(account).map(|(inst, qty, entry)| {
            let (spec, day) = (self.core.engine.spec(inst), self.core.engine.day(inst));
            Row::new()
                .text("instrument", &self.symbols[inst])
                .raw("balance", double_qty(spec, qty))
                .raw("pnl", "0.0")
                .raw("entry_price", entry)
                .raw("mark_price", double_price(spec, day.last))
                .raw("index_price", double_price(spec, day.last))
                .end()
        });
        let rows: Vec<String> = rows.collect();
        let row = Row::new().text("feed", "open_positions");
        row.text("account", &super::reply::account_id(account))
            .raw("positions", list(&rows))
            .end()
    }

    /// A push of balances.
    pub(super) fn balances_push(&self, account: AccountId, feed: &str) -> String {
        let holding =
            account::assets(&self.core)
                .into_iter()
                .fold(Row::new(), |row, (name, asset)| {
                    let all = text::amount(account::total(&self.core, account, asset));
                    row.raw(&name, double(&all))
                });
        let row = Row::new().text("feed", feed);
        row.text("account", &super::reply::account_id(account))
            .raw("holding", holding.end())
            .raw("futures", "{}")
            .raw("timestamp", self.core.venue_ms())
            .raw("seq", 0)
            .end()
    }

    /// The snapshot of `open_orders`.
    pub(super) fn orders_snapshot(&self, account: AccountId, feed: &str) -> String {
        let orders = self.core.engine.open_orders(account).map(|order| {
            let inst = order.ask.inst;
            feed_order(self.core.engine.spec(inst), &self.symbols[inst], order)
        });
        let rows: Vec<String> = orders.collect();
        let row = Row::new().text("feed", &format!("{feed}_snapshot"));
        row.text("account", &super::reply::account_id(account))
            .raw("orders", list(&rows))
            .end()
    }

    /// The snapshot of `fills`: the latest, oldest first.
    pub(super) fn fills_snapshot(&self, account: AccountId) -> String {
        let fills = self
            .core
            .record
            .fills(account)
            .rev()
            .take(super::FILLS_LISTED);
        let mut rows: Vec<String> = fills
            .map(|(order, fill)| {
                let inst = order.ask.inst;
                let spec = self.core.engine.spec(inst);
                feed_fill(spec, &self.symbols[inst], order, fill, fill.trade)
            })
            .collect();
        rows.reverse();
        let row = Row::new().text("feed", "fills_snapshot");
        row.text("account", &super::reply::account_id(account))
            .raw("fills", list(&rows))
            .end()
    }
}
