//! The gate as one would write it down: each rule asked of the whole desk, in the contract's order.

use super::{Asked, BOOK_AGE_NS, COLLAR_BPS, Naive, ORDERS_PER_S, Order, SECOND, Stand};
use dp_risk::Refusal;
use dp_types::{ClientOrderId, InstrumentFault, OrderKind, Side};

/// What a check that passed changes.
#[derive(Debug, Clone, Copy)]
struct Pass {
    it: usize,
    side: Side,
    worth: Option<i128>,
}

impl Naive {
    fn check(
        &self,
        it: usize,
        (side, kind, price): (Side, OrderKind, i64),
        (qty, added): (i64, i64),
        first: Option<&Asked>,
    ) -> Result<Pass, Refusal> {
        if self.is_killed {
            return Err(Refusal::Killed);
        }
        if !self.has_lease {
            return Err(Refusal::LeaseLapsed {
                now_ns: self.now,
                until_ns: 0,
            });
        }
        let Some((order_max, position_max)) = self.limits[it] else {
            return Err(Refusal::NoLimits {
                instrument: it as u32,
            });
        };
        if self.is_halted(it) {
            return Err(Refusal::Halted);
        }
        let (bid, ask, at) = self.books[it].ok_or(Refusal::BookUnproven)?;
        if self.now - at > BOOK_AGE_NS {
            return Err(Refusal::BookStale {
                age_ns: self.now - at,
                limit_ns: BOOK_AGE_NS,
            });
        }
        let is_market = kind == OrderKind::Market;
        self.check_rules(it, (!is_market).then_some(price), qty)
            .map_err(Refusal::Instrument)?;
        if qty > order_max {
            return Err(Refusal::OrderQty {
                qty,
                limit: order_max,
            });
        }
        let touch = if side == Side::Buy { ask } else { bid };
        let price = if is_market { touch } else { price };
        let (twice, mid_twice) = (i128::from(2 * price), i128::from(bid + ask));
        let away = (twice - mid_twice).abs() * 10_000;
        if away > mid_twice * i128::from(COLLAR_BPS) {
            let bps = (away + mid_twice - 1) / mid_twice;
            return Err(Refusal::Collar {
                bps: bps as i64,
                limit_bps: COLLAR_BPS,
            });
        }
        let first = first.filter(|first| first.it == it);
        let beside = first
            .filter(|first| first.side == side)
            .map_or(0, |first| first.qty);
        let along = side.sign() * self.held(it) + self.working(it, side) + beside + added;
        if along > position_max {
            return Err(Refusal::Position {
                exposure: side.sign() * along,
                limit: position_max,
            });
        }
        let other = side.opposite();
        let mut against: Vec<i64> = self.own_best(it, other).into_iter().collect();
        against.extend(
            first
                .filter(|first| first.side == other)
                .map(|first| first.price),
        );
        let against = match side {
            Side::Buy => against.into_iter().min(),
            Side::Sell => against.into_iter().max(),
        };
        if let Some(own) = against
            && (is_market || side.sign() * (price - own) >= 0)
        {
            return Err(Refusal::SelfTrade { price, own });
        }
        let worth = self.check_money(it, side, (qty, along))?;
        Ok(Pass { it, side, worth })
    }

    fn check_rules(&self, it: usize, price: Option<i64>, qty: i64) -> Result<(), InstrumentFault> {
        let rules = &self.rules[it];
        if qty <= 0 || price.is_some_and(|price| price <= 0) {
            return Err(InstrumentFault::NotPositive);
        }
        if qty % rules.lot.0 != 0 {
            return Err(InstrumentFault::OffLot);
        }
        if qty < rules.qty_min.0 {
            return Err(InstrumentFault::BelowMin);
        }
        if qty > rules.qty_max.0 {
            return Err(InstrumentFault::AboveMax);
        }
        let Some(price) = price else { return Ok(()) };
        if price % rules.tick.0 != 0 {
            return Err(InstrumentFault::OffTick);
        }
        if self.value(it, price, i128::from(qty)) < rules.notional_min.0 {
            return Err(InstrumentFault::BelowNotional);
        }
        Ok(())
    }

    /// The line's side as it would be, where money is counted.
    fn check_money(
        &self,
        it: usize,
        side: Side,
        (qty, along): (i64, i64),
    ) -> Result<Option<i128>, Refusal> {
        if !self.is_counted() {
            return Ok(None);
        }
        let hundredths = |fine: i128| (fine / 10_000_000_000_000_000) as i64;
        let (worth, order_max) = (i128::from(qty) * self.worth[it], self.order_max * 1_000_000);
        if order_max > 0 && worth > order_max {
            return Err(Refusal::OrderValue {
                value: hundredths(worth),
                limit: hundredths(order_max),
            });
        }
        let next = i128::from(side.sign() * along) * self.worth[it];
        if along <= 0 {
            return Ok(Some(next));
        }
        if self.worth[it] == 0 {
            return Err(Refusal::NoRate {
                asset: self.rules[it].quote.0,
            });
        }
        if let Some(asset) = self.blind {
            return Err(Refusal::NoRate { asset: asset.0 });
        }
        let mut line = self.told[it];
        match side {
            Side::Buy => line.0 = next,
            Side::Sell => line.1 = next,
        }
        let gross = self.gross(Some((it, line)));
        let gross_max = self.gross_max * 1_000_000;
        if gross_max > 0 && gross > gross_max {
            return Err(Refusal::Exposure {
                exposure: hundredths(gross),
                limit: hundredths(gross_max),
            });
        }
        let base = self.rules[it].base;
        let max = self.currency_max.iter().find(|(asset, _)| *asset == base);
        let max = max.map_or(0, |(_, max)| *max) * 1_000_000;
        let (long, short) = self.currency(base, Some((it, line)));
        let exposure = if side == Side::Buy { long } else { short };
        if max > 0 && exposure * i128::from(side.sign()) > max {
            return Err(Refusal::Currency {
                asset: base.0,
                exposure: hundredths(exposure),
                limit: hundredths(max),
            });
        }
        Ok(Some(next))
    }

    fn take_token(&mut self) -> Result<(), Refusal> {
        self.tokens_ns = (self.tokens_ns + (self.now - self.tokens_at)).min(SECOND);
        self.tokens_at = self.now;
        let one = SECOND / u64::from(ORDERS_PER_S);
        if self.tokens_ns < one {
            return Err(Refusal::Rate {
                limit: ORDERS_PER_S,
            });
        }
        self.tokens_ns -= one;
        Ok(())
    }

    fn put(&mut self, pass: Pass) {
        if let Some(worth) = pass.worth {
            match pass.side {
                Side::Buy => self.told[pass.it].0 = worth,
                Side::Sell => self.told[pass.it].1 = worth,
            }
        }
    }

    fn refuse(&mut self, strategy: usize, it: usize, refusal: Refusal) {
        let (code, at) = self.refused[strategy];
        if code == refusal.code() && self.now - at < SECOND {
            return;
        }
        self.refused[strategy] = (refusal.code(), self.now);
        let (observed, limit) = refusal.numbers();
        self.rows.push((refusal.code(), Some(it), observed, limit));
    }

    /// A strategy wishes for orders, one or two that go together. Says whether they leave.
    pub(crate) fn wish(&mut self, strategy: usize, asked: &[Asked]) -> bool {
        let before = (self.told.clone(), self.tokens_ns, self.tokens_at);
        for (place, one) in asked.iter().enumerate() {
            let first = (place == 1).then(|| asked[0]);
            let how = (one.side, one.kind, one.price);
            let passed = self.check(one.it, how, (one.qty, one.qty), first.as_ref());
            match passed.and_then(|pass| self.take_token().map(|()| pass)) {
                Ok(pass) => self.put(pass),
                Err(refusal) => {
                    (self.told, self.tokens_ns, self.tokens_at) = before;
                    self.refuse(strategy, one.it, refusal);
                    return false;
                }
            }
        }
        true
    }

    pub(crate) fn enter(&mut self, strategy: usize, asked: &Asked, id: ClientOrderId) {
        self.orders.push(Order {
            id,
            it: asked.it,
            strategy,
            side: asked.side,
            kind: asked.kind,
            price: asked.price,
            qty: asked.qty,
            done: 0,
            stand: Stand::Asked,
            asked: (asked.price, asked.qty),
            is_amending: false,
            asked_at: self.now,
        });
    }

    /// A strategy wishes to change an order. Says whether the amend leaves.
    pub(crate) fn amend(&mut self, at: usize, price: Option<i64>, qty: Option<i64>) -> bool {
        let order = self.orders[at].clone();
        // One at a time.
        if order.is_amending {
            return false;
        }
        let (new_price, new_qty) = (price.unwrap_or(order.price), qty.unwrap_or(order.qty));
        let added = (new_qty - order.qty).max(0);
        let how = (order.side, order.kind, new_price);
        let passed = self.check(order.it, how, (new_qty, added), None);
        match passed.and_then(|pass| self.take_token().map(|()| pass)) {
            Ok(pass) => {
                self.put(pass);
                let is_waiting = order.stand == Stand::Asked || order.is_amending;
                let order = &mut self.orders[at];
                order.asked = (new_price, new_qty);
                order.is_amending = true;
                if !is_waiting {
                    order.asked_at = self.now;
                }
                true
            }
            Err(refusal) => {
                self.refuse(order.strategy, order.it, refusal);
                false
            }
        }
    }
}
