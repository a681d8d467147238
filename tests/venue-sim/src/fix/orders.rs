//! Orders: new, cancel, amend, questions, several at once.

use super::codec::Message;
use super::door::{Answer, Door, Name};
use super::parse::{inst_of, parse, parse_price, parse_qty, post_only};
use super::profile::{Refusal, Why, Words};
use super::report::Way;
use crate::engine::{AccountId, Cause, Order, PostOnly, Refusal as Refused};
use crate::fault::Kind;
use crate::venues::{Charge, Face};

/// Requests a venue holds back before the engine.
const HELD_MAX: usize = 10_000;

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Client {
    /// The session.
    pub name: Name,
    /// The account.
    pub account: AccountId,
}

/// The record's word for a message.
fn word(kind: &str) -> &'static str {
    match kind {
        "D" | "U6" => "new",
        "F" | "U4" | "XCN" => "cancel",
        "G" | "XAK" => "amend",
        "q" => "cancel_all",
        _ => "query",
    }
}

fn engine_refused(refused: Refused) -> Why {
    match refused {
        Refused::Balance => Why::Balance,
        Refused::WouldTake => Why::WouldTake,
        Refused::Duplicate => Why::Duplicate,
        Refused::Unknown => Why::Done,
        Refused::Amend => Why::Amend,
        Refused::Overflow => Why::Qty,
    }
}

impl Door {
    /// A message about orders.
    pub(super) fn order(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let core = face.core();
        let now = core.now;
        if core.faults.take_fix(Kind::RateLimit, true).is_some() {
            let refusal = self.profile.words.refusal(Why::TooFast);
            let why = (0, refusal.code, refusal.text);
            return self.refuse(core, &client.name, message, why);
        }
        let slow = |ms: i64| Answer::At(now + ms.unsigned_abs() * 1_000_000);
        self.answer = if core.faults.take_fix(Kind::LostAck, true).is_some() {
            Answer::Lost
        } else if let Some(fault) = core.faults.take_fix(Kind::SlowAck, true) {
            slow(fault.ms)
        } else {
            Answer::Now
        };
        self.asker = Some(client.name.clone());
        match message.kind() {
            "D" => self.new_order(face, client, message),
            "F" => {
                self.cancel(face, client, message);
            }
            "XCN" => self.cancel_and_new(face, client, message),
            "G" | "XAK" => self.amend(face, client, message),
            "AN" => self.positions(face, client, message),
            "H" => self.question(face, client, message),
            "q" => self.cancel_many(face, client, message),
            "AF" => self.questions(face, client, message),
            "U6" | "U4" => self.batch(face, client, message),
            _ => {}
        }
        self.asker = None;
        self.answer = Answer::Now;
    }

    fn new_order(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let id = message.text(11).to_owned();
        face.core().record.request("new", Some(&id));
        let post_only = post_only(&self.profile.words, message);
        let wait = face.hold_ns(post_only.unwrap_or(PostOnly::No));
        if wait > 0 && self.held.len() < HELD_MAX {
            let due = face.core().now + wait;
            self.held.push_back((due, client.clone(), message.clone()));
            return;
        }
        self.enter(face, client, message);
    }

    /// Brings what was held long enough to the engine, in the order it came.
    pub(super) fn release(&mut self, face: &mut dyn Face) {
        let now = face.core().now;
        while let Some((_, client, message)) = self.held.pop_front_if(|(at, ..)| *at <= now) {
            self.asker = Some(client.name.clone());
            match message.kind() {
                "D" => self.enter(face, &client, &message),
                _ => self.amend_now(face, &client, &message),
            }
            self.asker = None;
        }
    }

    fn enter(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let id = message.text(11).to_owned();
        let refusal = match self.place(face, client, message) {
            Ok(()) => return,
            Err(refusal) => refusal,
        };
        let core = face.core();
        let code = if refusal.code == 0 {
            i64::from(refusal.reason)
        } else {
            refusal.code
        };
        core.record
            .refused("new", &id, code, refusal.text, core.now);
        self.reject(face, client, message, &refusal);
    }

    fn place(
        &mut self,
        face: &mut dyn Face,
        client: &Client,
        message: &Message,
    ) -> Result<(), Refusal> {
        let words = &self.profile.words;
        let why = |why: Why| words.refusal(why);
        let ask = parse(face, self.profile, client.account, message).map_err(why)?;
        let core = face.core();
        if let Some(fault) = core.faults.take_fix(Kind::Reject, true) {
            return Err(requested(words, fault.code));
        }
        let timeout = core.faults.take_fix(Kind::Timeout, true);
        if let Some(fault) = &timeout
            && !fault.is_executed
        {
            self.unknown_outcome(face, client, message);
            return Ok(());
        }
        let client_id = ask.client_id.to_string();
        if !face.charge(Charge::New(&ask)) {
            return Err(why(Why::TooFast));
        }
        let core = face.core();
        let placed = core.engine.place(core.now, ask);
        if placed.is_err() {
            face.charge(Charge::Refused(client.account));
        }
        let id = placed.map_err(engine_refused).map_err(why)?;
        let way = Way {
            name: client.name.clone(),
            client: client_id,
            asked: None,
            aliases: Vec::new(),
        };
        self.ways.insert(id, way);
        let answer = self.answer;
        if timeout.is_some() {
            self.answer = Answer::Lost;
        }
        self.absorb(face);
        self.answer = answer;
        if timeout.is_some() {
            self.unknown_outcome(face, client, message);
        }
        Ok(())
    }

    /// Says that nobody knows what became of an order. [U] the form of it at every venue.
    fn unknown_outcome(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let refusal = self.profile.words.refusal(Why::Timeout);
        let why = (4, refusal.code, refusal.text);
        self.refuse(face.core(), &client.name, message, why);
    }

    /// Cancels, or says why not; whether it did.
    fn cancel(&mut self, face: &mut dyn Face, client: &Client, message: &Message) -> bool {
        face.core().record.request("cancel", None);
        let order = self.find(face, client, message);
        let mut held = self.held.iter_mut();
        let held = held.find(|(_, _, one)| one.kind() == "D" && one.get(11) == message.get(41));
        if let (None, Some((_, _, held))) = (&order, held) {
            // An order that is still held may take, and does not rest.
            held.set(59, "3");
            return true;
        }
        let why = match &order {
            None => Some(Why::Unknown),
            Some(order) if !order.state.is_open() => Some(Why::Done),
            Some(order) if !face.charge(Charge::Cancel(order)) => Some(Why::TooFast),
            Some(_) => None,
        };
        if let (Some(order), None) = (&order, why) {
            self.ask(client, message, order);
            let core = face.core();
            let _ = core.engine.cancel(core.now, order.id, Cause::User);
            self.absorb(face);
            return true;
        }
        let refusal = self.profile.words.refusal(why.unwrap_or(Why::Unknown));
        self.refused_change(face, client, (message, order.as_ref()), &refusal);
        false
    }

    /// Binance's cancel and new in one; in mode 1 the new order wants the cancel to have succeeded.
    fn cancel_and_new(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let is_done = self.cancel(face, client, message);
        if is_done || message.get(25033) == Some("2") {
            self.new_order(face, client, &message.as_kind("D"));
        }
    }

    fn amend(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        face.core().record.request("amend", None);
        let order = self.find(face, client, message);
        let post_only = order.map_or(PostOnly::Refuse, |order| order.ask.post_only);
        let wait = face.hold_ns(post_only);
        if wait > 0 && self.held.len() < HELD_MAX {
            let due = face.core().now + wait;
            self.held.push_back((due, client.clone(), message.clone()));
            return;
        }
        self.amend_now(face, client, message);
    }

    fn amend_now(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let order = self.find(face, client, message);
        let result = match &order {
            None => Err(Why::Unknown),
            Some(order) if !order.state.is_open() => Err(Why::Done),
            Some(order) => self.change(face, client, message, order),
        };
        if let Err(why) = result {
            let refusal = self.profile.words.refusal(why);
            self.refused_change(face, client, (message, order.as_ref()), &refusal);
        }
    }

    fn change(
        &mut self,
        face: &mut dyn Face,
        client: &Client,
        message: &Message,
        order: &Order,
    ) -> Result<(), Why> {
        let words = &self.profile.words;
        let new = message.text(11);
        let is_other = !words.swaps_ids && order.ask.client_id.as_ref() != new;
        if is_other && !(words.is_client_id)(new) {
            return Err(Why::ClientId);
        }
        if is_other && self.named(face, client.account, new).is_some() {
            return Err(Why::Duplicate);
        }
        let inst = order.ask.inst;
        let price = match message.get(44) {
            Some(_) => parse_price(face, inst, message)?,
            None => order.ask.price.ok_or(Why::Amend)?,
        };
        let qty = match message.get(38) {
            Some(_) => parse_qty(face, (inst, self.profile.books), message)?,
            None => order.qty,
        };
        if !face.charge(Charge::Amend(order)) {
            return Err(Why::TooFast);
        }
        self.ask(client, message, order);
        let core = face.core();
        // XAK keeps the order's place: less of it, and nothing else.
        let amended = match message.kind() {
            "XAK" => core.engine.reduce(core.now, order.id, qty),
            _ => core.engine.amend(core.now, order.id, price, qty),
        };
        if let Err(refused) = amended {
            if let Some(way) = self.ways.get_mut(&order.id) {
                way.asked = None;
            }
            return Err(engine_refused(refused));
        }
        self.absorb(face);
        Ok(())
    }

    fn refused_change(
        &mut self,
        face: &mut dyn Face,
        client: &Client,
        (message, order): (&Message, Option<&Order>),
        refusal: &Refusal,
    ) {
        let core = face.core();
        let (op, id) = (word(message.kind()), message.text(41));
        let code = i64::from(refusal.reason);
        core.record.refused(op, id, code, refusal.text, core.now);
        self.reject_cancel(face, client, (message, order), refusal);
    }

    /// Notes under which client id a cancel or an amendment came.
    fn ask(&mut self, client: &Client, message: &Message, order: &Order) {
        let way = self.ways.entry(order.id).or_insert_with(|| Way {
            name: client.name.clone(),
            client: order.ask.client_id.to_string(),
            asked: None,
            aliases: Vec::new(),
        });
        way.asked = match message.get(25034).or(message.get(11)) {
            Some(id) if !self.profile.words.swaps_ids => Some(id.to_owned()),
            _ => None,
        };
    }

    fn question(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        face.core().record.request("query", None);
        match self.find_any(face, client, message, true) {
            Some(order) => self.status(face, client, &order, |_| {}),
            None => {
                let refusal = self.profile.words.refusal(Why::Unknown);
                self.reject(face, client, message, &refusal);
            }
        }
    }

    /// All open orders (OrderMassStatusRequest), or those of a symbol.
    fn questions(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        face.core().record.request("query", None);
        let orders = self.open_of(face, client, message);
        let count = orders.len();
        if orders.is_empty() {
            let mut none = Message::new("8");
            none.put(584, message.text(584)).put(911, 0).put(912, "Y");
            none.put(150, "I").put(39, 8);
            none.put(58, "no orders");
            return self.tell(face.core(), &client.name, none, true);
        }
        for (at, order) in orders.iter().enumerate() {
            self.status(face, client, order, |report| {
                report.put(584, message.text(584)).put(911, count);
                report.put(912, if at + 1 == count { "Y" } else { "N" });
            });
        }
    }

    /// Positions (Deribit's RequestForPositions).
    fn positions(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let (count, books) = (face.core().engine.instruments(), self.profile.books);
        let mut report = Message::new("AP");
        report
            .put(710, message.text(710))
            .put(721, self.execution());
        report.put(728, 0).put(702, count);
        for inst in 0..count {
            let symbol = face.symbol(inst);
            let engine = &face.core().engine;
            let held = engine.position(client.account, inst).qty;
            let spec = engine.spec(inst);
            report.put(703, "TQ").put(704, books.qty(spec, held.max(0)));
            report
                .put(705, books.qty(spec, (-held).max(0)))
                .put(55, symbol);
        }
        self.tell(face.core(), &client.name, report, true);
    }

    /// Cancels all orders, or those of a symbol (OrderMassCancelRequest).
    fn cancel_many(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        face.core().record.request("cancel_all", None);
        let is_known = message
            .get(55)
            .is_none_or(|symbol| inst_of(face, symbol).is_some());
        let kind = message.text(530);
        let mut report = Message::new("r");
        report.put(11, message.text(11)).put(530, kind);
        report.put_some(55, message.get(55));
        if !matches!(kind, "1" | "7") || !is_known || (kind == "1") != message.get(55).is_some() {
            report.put(531, 0).put(532, 99).put(58, "cannot be done");
            return self.tell(face.core(), &client.name, report, true);
        }
        let orders = self.open_of(face, client, message);
        for order in &orders {
            let core = face.core();
            let _ = core.engine.cancel(core.now, order.id, Cause::CancelAll);
        }
        report.put(531, kind).put(533, orders.len());
        self.tell(face.core(), &client.name, report, true);
        self.absorb(face);
    }

    /// Several new orders or cancels: each is answered for itself, unless the batch as a whole cannot be.
    fn batch(&mut self, face: &mut dyn Face, client: &Client, message: &Message) {
        let (kind, refused) = match message.kind() {
            "U6" => ("D", "U7"),
            _ => ("F", "U5"),
        };
        let entries = message.group(73);
        let told = message
            .number(73)
            .and_then(|count| usize::try_from(count).ok());
        let most = self.profile.words.batch_max;
        if entries.is_empty() || told != Some(entries.len()) || entries.len() > most {
            let mut reject = Message::new(refused);
            reject.put(8014, message.text(8014));
            reject.put(58, format!("a batch has 1 to {most} orders"));
            return self.tell(face.core(), &client.name, reject, true);
        }
        for entry in entries {
            let one = entry.as_kind(kind);
            match kind {
                "D" => self.new_order(face, client, &one),
                _ => {
                    self.cancel(face, client, &one);
                }
            }
        }
    }

    /// Open orders of an account that the session reaches, all or of the symbol asked for.
    fn open_of(&self, face: &mut dyn Face, client: &Client, message: &Message) -> Vec<Order> {
        let inst = message.get(55).and_then(|symbol| inst_of(face, symbol));
        let open = face.core().engine.open_orders(client.account);
        open.filter(|order| inst.is_none_or(|inst| order.ask.inst == inst))
            .filter(|order| self.reaches(client, order))
            .cloned()
            .collect()
    }

    fn reaches(&self, client: &Client, order: &Order) -> bool {
        let own = || {
            self.ways
                .get(&order.id)
                .is_some_and(|way| way.name == client.name)
        };
        !self.profile.words.own_session_only || own()
    }

    /// The order a cancel or an amendment is about: the venue's id, or the client's of the original.
    fn find(&self, face: &mut dyn Face, client: &Client, message: &Message) -> Option<Order> {
        let order = self.find_any(face, client, message, false)?;
        self.reaches(client, &order).then_some(order)
    }

    fn find_any(
        &self,
        face: &mut dyn Face,
        client: &Client,
        message: &Message,
        is_question: bool,
    ) -> Option<Order> {
        let (ours, theirs) = match (self.profile.words.swaps_ids, is_question) {
            (true, _) => (11, 41),
            (false, true) => (11, 37),
            (false, false) => (41, 37),
        };
        let by_client = message
            .get(ours)
            .and_then(|id| self.named(face, client.account, id));
        let order = match (by_client, message.get(theirs)) {
            (Some(order), _) => order,
            (None, Some(id)) => by_venue_id(face, client.account, id)?,
            (None, None) => return None,
        };
        let is_symbol = |symbol: &str| symbol == face.symbol(order.ask.inst);
        message.get(55).is_none_or(is_symbol).then_some(order)
    }

    /// An account's order by its client id, then or now.
    fn named(&self, face: &mut dyn Face, account: AccountId, id: &str) -> Option<Order> {
        let alias = self.aliases.get(&(account, id.to_owned()));
        let engine = &face.core().engine;
        let order = match alias {
            Some(order) => engine.order(*order),
            None => engine.by_client_id(account, id),
        };
        order.cloned()
    }
}

fn by_venue_id(face: &mut dyn Face, account: AccountId, id: &str) -> Option<Order> {
    let engine = &face.core().engine;
    let open = engine.open_orders(account).map(|order| order.id);
    let finished = engine.finished_orders(account).map(|order| order.id);
    let ids: Vec<u64> = open.chain(finished).collect();
    let found = ids.into_iter().find(|known| face.order_id(*known) == id)?;
    face.core().engine.order(found).cloned()
}

/// A refusal on request: that of the code where there is one, the commonest where none is asked for.
fn requested(words: &Words, code: Option<i64>) -> Refusal {
    let Some(code) = code else {
        return words.refusal(Why::Balance);
    };
    let fits = |refusal: &&Refusal| match words.code_tag {
        Some(_) => refusal.code == code,
        None => i64::from(refusal.reason) == code,
    };
    let known = words.refusals.iter().map(|(_, refusal)| refusal).find(fits);
    known.cloned().unwrap_or_else(|| Refusal {
        reason: if words.code_tag.is_some() {
            99
        } else {
            u32::try_from(code).unwrap_or(99)
        },
        code,
        text: "Rejected by the simulator on request",
    })
}
