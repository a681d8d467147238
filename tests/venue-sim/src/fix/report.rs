//! What is said of orders: execution reports, refusals of cancels and amendments.

use super::codec::Message;
use super::door::{Door, Name};
use super::orders::Client;
use super::profile::{Books, Profile, Refusal, Words};
use super::time;
use crate::core::Core;
use crate::engine::{Cause, Fill, NewOrder, Order, Side, Size, State, Tif, UNIT, What};
use crate::text::{amount, price, qty};
use crate::venues::Face;

/// How an order is known to the sessions.
#[derive(Debug, Clone)]
pub struct Way {
    /// The session it came by.
    pub name: Name,
    /// Its client id now.
    pub client: String,
    /// The client id of the cancel or amendment under way.
    pub asked: Option<String>,
    /// Client ids amendments gave it.
    pub aliases: Vec<String>,
}

/// ExecType (150) of an answer to a question.
const STATUS: &str = "I";

impl Door {
    /// Tells of what happened to an order.
    pub(super) fn report(&mut self, face: &mut dyn Face, order: &Order, what: What) {
        let account = order.ask.account;
        let way = self.ways.get_mut(&order.id);
        let asked = way.map(|way| {
            let is_asked = matches!(what, What::Canceled(_) | What::Amended);
            let asked = if is_asked { way.asked.take() } else { None };
            let old = way.client.clone();
            if let (What::Amended, Some(new)) = (what, &asked) {
                way.client.clone_from(new);
                way.aliases.push(new.clone());
            }
            (asked.unwrap_or_else(|| old.clone()), old)
        });
        if let (What::Amended, Some((new, _))) = (what, &asked) {
            self.aliases.insert((account, new.clone()), order.id);
        }
        let mut names = self.drop_copies(account);
        names.extend(self.ways.get(&order.id).map(|way| way.name.clone()));
        if !matches!(what, What::Fill(_)) {
            names.extend(self.asker.clone());
        }
        names.sort();
        names.dedup();
        if !names.is_empty() {
            let (client, old) = asked.unwrap_or_else(|| {
                let client = order.ask.client_id.to_string();
                (client.clone(), client)
            });
            let old = (old != client).then_some(old.as_str());
            let (kind, status) = self.words_of(order, what);
            let mut report = self.about(face, order, (&client, old), (kind, status));
            if let What::Fill(fill) = what {
                put_fill(face.core(), &mut report, order, fill, self.profile);
            }
            if let What::Canceled(cause) = what
                && let Some(text) = cause_text(cause)
            {
                report.put(58, text);
            }
            for name in names {
                let is_answer = !matches!(what, What::Fill(_));
                self.tell(face.core(), &name, report.clone(), is_answer);
            }
        }
        if !order.state.is_open()
            && let Some(way) = self.ways.remove(&order.id)
        {
            for alias in way.aliases {
                self.aliases.remove(&(account, alias));
            }
        }
    }

    /// Answers a question about an order.
    pub(super) fn status(
        &mut self,
        face: &mut dyn Face,
        client: &Client,
        order: &Order,
        put: impl FnOnce(&mut Message),
    ) {
        let known = self.ways.get(&order.id).map(|way| way.client.clone());
        let id = known.unwrap_or_else(|| order.ask.client_id.to_string());
        let status = self.state_word(order.state);
        let mut report = self.about(face, order, (&id, None), (STATUS, status));
        put(&mut report);
        self.tell(face.core(), &client.name, report, true);
    }

    /// Refuses a new order; a question about an order that is not there gets the same with another type.
    pub(super) fn reject(
        &mut self,
        face: &mut dyn Face,
        client: &Client,
        asked: &Message,
        refusal: &Refusal,
    ) {
        let kind = if asked.kind() == "H" { STATUS } else { "8" };
        let mut report = Message::new("8");
        report.put(37, asked.get(37).unwrap_or("0"));
        report.put(11, asked.text(11)).put(17, self.execution());
        report.put(150, kind).put(39, 8);
        for tag in [55, 54, 38, 152, 40, 44, 59, 18] {
            report.put_some(tag, asked.get(tag));
        }
        report.put(151, 0).put(14, 0).put(6, 0);
        report.put(60, time::text(face.core().venue_ms()));
        report.put(103, refusal.reason);
        self.put_refusal(&mut report, refusal);
        self.tell(face.core(), &client.name, report, true);
    }

    /// Refuses a cancel or an amendment.
    pub(super) fn reject_cancel(
        &mut self,
        face: &mut dyn Face,
        client: &Client,
        (asked, order): (&Message, Option<&Order>),
        refusal: &Refusal,
    ) {
        let kind = if asked.kind() == "XAK" { "XAR" } else { "9" };
        let mut reject = Message::new(kind);
        let id = order.map(|order| face.order_id(order.id));
        reject.put(37, id.as_deref().or(asked.get(37)).unwrap_or("NONE"));
        reject.put(11, asked.text(11));
        reject.put_some(41, asked.get(41));
        let state = order.map_or("8", |order| self.state_word(order.state));
        reject.put(39, state);
        let is_amend = matches!(asked.kind(), "G" | "XAK");
        reject.put(434, if is_amend { 2 } else { 1 });
        reject.put(102, refusal.reason);
        self.put_refusal(&mut reject, refusal);
        self.tell(face.core(), &client.name, reject, true);
    }

    fn put_refusal(&self, message: &mut Message, refusal: &Refusal) {
        if let Some(tag) = self.profile.words.code_tag {
            message.put(tag, refusal.code);
        }
        message.put(58, refusal.text);
    }

    /// A name no other report has.
    pub(super) fn execution(&mut self) -> String {
        self.executions += 1;
        format!("E{:08}", self.executions)
    }

    /// A report of an order as it stands.
    fn about(
        &mut self,
        face: &mut dyn Face,
        order: &Order,
        (client, old): (&str, Option<&str>),
        (kind, status): (&str, &str),
    ) -> Message {
        let (id, symbol) = (face.order_id(order.id), face.symbol(order.ask.inst));
        let (execution, books) = (self.execution(), self.profile.books);
        let core = face.core();
        let spec = core.engine.spec(order.ask.inst);
        let mut report = Message::new("8");
        if self.profile.words.swaps_ids {
            report.put(37, &id).put(11, id).put(41, client);
        } else {
            report.put(37, id).put(11, client).put_some(41, old);
        }
        report.put(17, execution).put(150, kind).put(39, status);
        report.put(55, symbol);
        let multiplier = (books == Books::Contracts).then(|| qty(spec, spec.lot));
        report.put_some(231, multiplier);
        put_ask(&mut report, &order.ask, &self.profile.words);
        match order.ask.size {
            Size::Base(_) => report.put(38, books.qty(spec, order.qty)),
            Size::Quote(budget) => report.put(152, amount(budget)),
        };
        report.put_some(44, order.ask.price.map(|at| price(spec, at)));
        let leaves = if order.state.is_open() {
            order.leaves()
        } else {
            0
        };
        report.put(151, books.qty(spec, leaves));
        report.put(14, books.qty(spec, order.cum));
        let done = spec.base_amount(order.cum);
        let average = (done > 0).then(|| order.cum_quote.checked_mul(UNIT));
        let average = average.flatten().map_or(0, |quote| quote / done);
        report.put(6, amount(average));
        let at_ms = (order.updated_ns / 1_000_000) as i64 + core.skew_ms;
        report.put(60, time::text(at_ms));
        report
    }

    /// ExecType and OrdStatus.
    fn words_of(&self, order: &Order, what: What) -> (&'static str, &'static str) {
        match what {
            What::New => ("0", "0"),
            What::Fill(_) => ("F", self.state_word(order.state)),
            What::Amended => ("5", self.state_word(order.state)),
            What::Canceled(_) => match self.state_word(order.state) {
                "C" => ("C", "C"),
                word => ("4", word),
            },
        }
    }

    /// OrdStatus (39).
    fn state_word(&self, state: State) -> &'static str {
        match state {
            State::Live => "0",
            State::Partial => "1",
            State::Filled => "2",
            State::Canceled(Cause::Ioc | Cause::Fok) if self.profile.words.expires => "C",
            State::Canceled(_) => "4",
        }
    }
}

/// Side, type, life and instructions of an order.
fn put_ask(report: &mut Message, ask: &NewOrder, words: &Words) {
    let side = if ask.side == Side::Buy { 1 } else { 2 };
    report.put(54, side);
    report.put(40, if ask.price.is_some() { 2 } else { 1 });
    let life = match ask.tif {
        Tif::Gtc => 1,
        Tif::Ioc => 3,
        Tif::Fok => 4,
    };
    report.put(59, life);
    let found = words
        .post_only
        .iter()
        .find(|(_, post)| *post == ask.post_only);
    report.put_some(18, found.map(|(word, _)| *word));
}

fn put_fill(
    core: &Core,
    report: &mut Message,
    order: &Order,
    fill: Fill,
    Profile { words, books, .. }: &Profile,
) {
    let spec = core.engine.spec(order.ask.inst);
    report
        .put(31, price(spec, fill.price))
        .put(32, books.qty(spec, fill.qty));
    report.put(words.trade_tag, fill.trade);
    report.put(1057, if fill.is_maker { "N" } else { "Y" });
    let is_quote = core.engine.is_fee_in_quote(order.ask.inst, order.ask.side);
    let asset = if is_quote { &spec.quote } else { &spec.base };
    report.put(136, 1).put(137, amount(fill.fee));
    report.put(138, asset).put(139, 4);
}

/// Why the venue ended an order that nobody asked to end.
const fn cause_text(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::User | Cause::CancelAll | Cause::Replaced => None,
        Cause::Ioc | Cause::Fok => Some("Time In Force"),
        Cause::PostOnly => Some("post only"),
        Cause::SelfTrade => Some("Self Trade Prevention"),
        Cause::DeadMan => Some("Cancel on disconnect"),
    }
}
