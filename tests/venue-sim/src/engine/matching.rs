//! Matching: an accepted order takes what it can, each fill is settled and booked on both orders.

use super::order::*;
use super::{Engine, Instrument};

impl Engine {
    /// Matches an accepted order, then rests or ends what is left.
    pub(super) fn run(&mut self, now: u64, id: u64) {
        let own = self.take(now, id);
        // A filled order of the market is forgotten at once.
        let Some(order) = self.orders.get(&id).filter(|order| order.state.is_open()) else {
            return;
        };
        match (own, order.ask.price, order.ask.tif) {
            (true, _, _) => self.finish(now, id, Cause::SelfTrade),
            (false, Some(price), Tif::Gtc) => {
                let (inst, side, leaves) = (order.ask.inst, order.ask.side, order.leaves());
                self.instruments[inst].book.push(side, price, id, leaves);
                self.touch(inst, side, price, (id, leaves));
            }
            (false, _, _) => self.finish(now, id, Cause::Ioc),
        }
    }

    /// Takes from the other side while prices cross. Returns whether it met its own account's order.
    fn take(&mut self, now: u64, id: u64) -> bool {
        loop {
            let order = &self.orders[&id];
            let ask = &order.ask;
            let Instrument { spec, book, .. } = &self.instruments[ask.inst];
            let Some((price, level)) = book.best(ask.side.opposite()) else {
                return false;
            };
            if ask
                .price
                .is_some_and(|limit| !self.crosses(ask.inst, ask.side, limit))
            {
                return false;
            }
            let Some(&maker) = level.queue.front() else {
                return false;
            };
            let wanted = match ask.size {
                Size::Base(_) => order.leaves(),
                Size::Quote(budget) => spec.affordable(budget - order.cum_quote, price),
            };
            let maker_order = &self.orders[&maker];
            if ask.account != MARKET && maker_order.ask.account == ask.account {
                return true;
            }
            let qty = wanted.min(maker_order.leaves());
            if qty > 0 {
                self.fill(now, id, maker, price, qty);
            }
            if qty <= 0
                || self
                    .orders
                    .get(&id)
                    .is_none_or(|o| o.state == State::Filled)
            {
                self.end_budget(now, id);
                return false;
            }
        }
    }

    /// A budget order that cannot buy one more lot is filled.
    fn end_budget(&mut self, now: u64, id: u64) {
        let is_spent = self.orders.get(&id).is_some_and(|order| {
            matches!(order.ask.size, Size::Quote(_)) && order.cum > 0 && order.state.is_open()
        });
        if is_spent {
            let last = self.orders[&id].last;
            self.close(now, id, State::Filled);
            if let Some(last) = last {
                self.retell_final(id, last);
            }
        }
    }

    /// The last fill of a budget order was told as partial: its state is corrected in place.
    fn retell_final(&mut self, id: u64, last: Fill) {
        for event in self.events.iter_mut().rev() {
            if let Event::Order(order, What::Fill(fill)) = event
                && order.id == id
                && *fill == last
            {
                order.state = State::Filled;
                return;
            }
        }
    }

    fn fill(&mut self, now: u64, taker: u64, maker: u64, price: i64, qty: i64) {
        self.next_trade += 1;
        let (inst, side) = (self.orders[&taker].ask.inst, self.orders[&taker].ask.side);
        let spec = &self.instruments[inst].spec;
        // Checked when the orders were accepted: price and quantity only got better since.
        let cost = spec.notional(price, qty).unwrap_or(0);
        let base = spec.base_amount(qty);
        let trade = Trade {
            id: self.next_trade,
            inst,
            price,
            qty,
            taker: side,
            taker_order: taker,
            maker_order: maker,
            at_ns: now,
        };
        let (buyer, seller) = match side {
            Side::Buy => (taker, maker),
            Side::Sell => (maker, taker),
        };
        let accounts = (
            self.orders[&buyer].ask.account,
            self.orders[&seller].ask.account,
        );
        let (base_asset, quote_asset) = (spec.base_asset, spec.quote_asset);
        if spec.is_contract {
            self.move_position(accounts.0, inst, qty, cost);
            self.move_position(accounts.1, inst, -qty, cost);
        } else {
            self.ledger
                .pay((accounts.0, true), accounts.1, quote_asset, cost);
            self.ledger
                .pay((accounts.1, true), accounts.0, base_asset, base);
        }
        self.instruments[inst].day.print(&trade, cost);
        let maker_side = side.opposite();
        let left = self.orders[&maker].leaves() - qty;
        if left == 0 {
            self.instruments[inst]
                .book
                .remove(maker_side, price, maker, qty);
        } else {
            self.instruments[inst].book.reduce(maker_side, price, qty);
        }
        self.touch(inst, maker_side, price, (maker, left));
        self.events.push(Event::Trade(trade));
        self.book_fill(&trade, maker, true, cost);
        self.book_fill(&trade, taker, false, cost);
    }

    /// Books one side of a contract's trade on the account's position; what it realises comes from the venue,
    /// which stands between all.
    pub(super) fn move_position(
        &mut self,
        account: AccountId,
        inst: usize,
        qty: i64,
        cost: Amount,
    ) {
        if account == MARKET {
            return;
        }
        let position = self.positions.entry((account, inst)).or_default();
        let realised = position.trade(qty, cost);
        let asset = self.instruments[inst].spec.quote_asset;
        let venue = self.ledger.venue();
        self.ledger.pay((venue, false), account, asset, realised);
    }

    /// Books one side of a trade on its order: fee, sums, state, and tells.
    fn book_fill(&mut self, trade: &Trade, id: u64, is_maker: bool, cost: Amount) {
        let (account, side) = (self.orders[&id].ask.account, self.orders[&id].ask.side);
        let spec = &self.instruments[trade.inst].spec;
        let base = spec.base_amount(trade.qty);
        let (received, asset) = if self.is_fee_in_quote(trade.inst, side) {
            (cost, spec.quote_asset)
        } else {
            (base, spec.base_asset)
        };
        // A contract's margin is given back below, by what is left of the order.
        let paid = match side {
            _ if spec.is_contract => 0,
            Side::Buy => cost,
            Side::Sell => base,
        };
        let fee = if account == MARKET {
            0
        } else {
            self.fees.of(received, is_maker)
        };
        let venue = self.ledger.venue();
        self.ledger.pay((account, false), venue, asset, fee);
        let fill = Fill {
            trade: trade.id,
            price: trade.price,
            qty: trade.qty,
            fee,
            is_maker,
            at_ns: trade.at_ns,
        };
        let Some(order) = self.orders.get_mut(&id) else {
            return;
        };
        order.cum += trade.qty;
        if matches!(order.ask.size, Size::Quote(_)) {
            order.qty = order.cum;
        }
        order.cum_quote += cost;
        order.fee += fee;
        order.held -= paid;
        order.last = Some(fill);
        order.updated_ns = trade.at_ns;
        let is_done = matches!(order.ask.size, Size::Base(_)) && order.leaves() == 0;
        order.state = State::Partial;
        self.release_excess(id);
        if is_done {
            self.close(trade.at_ns, id, State::Filled);
        }
        self.tell(id, What::Fill(fill));
        self.forget_market(id);
    }
}
