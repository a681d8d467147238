//! What a message says of an order.

use super::codec::Message;
use super::profile::{Books, Profile, Why, Words};
use crate::engine::{AccountId, NewOrder, PostOnly, Side, Size, Tif, UNIT};
use crate::text;
use crate::venues::Face;
use std::sync::Arc;

/// The instrument of a symbol.
pub fn inst_of(face: &mut dyn Face, symbol: &str) -> Option<usize> {
    let count = face.core().engine.instruments();
    (0..count).find(|inst| face.symbol(*inst) == symbol)
}

/// A new order. Errors: why it cannot be one.
pub fn parse(
    face: &mut dyn Face,
    Profile { words, books, .. }: &Profile,
    account: AccountId,
    message: &Message,
) -> Result<NewOrder, Why> {
    let client_id = message.text(11);
    if !(words.is_client_id)(client_id) {
        return Err(Why::ClientId);
    }
    let inst = inst_of(face, message.text(55)).ok_or(Why::Symbol)?;
    let side = match message.text(54) {
        "1" => Side::Buy,
        "2" => Side::Sell,
        _ => return Err(Why::Unsupported),
    };
    let is_limit = match message.text(40) {
        "1" => false,
        "2" => true,
        _ => return Err(Why::Unsupported),
    };
    let tif = match message.text(59) {
        _ if !is_limit => Tif::Ioc,
        // Day orders live on: nothing here ends a day.
        "" | "0" | "1" => Tif::Gtc,
        "3" => Tif::Ioc,
        "4" => Tif::Fok,
        _ => return Err(Why::Unsupported),
    };
    let post_only = post_only(words, message).ok_or(Why::Unsupported)?;
    if post_only != PostOnly::No && tif != Tif::Gtc {
        return Err(Why::Unsupported);
    }
    let price = is_limit
        .then(|| parse_price(face, inst, message))
        .transpose()?;
    let size = match (message.get(152), message.get(38)) {
        (Some(cash), None) if !is_limit => Size::Quote(
            text::parse_amount(cash)
                .filter(|cash| *cash > 0)
                .ok_or(Why::Qty)?,
        ),
        _ => Size::Base(parse_qty(face, (inst, *books), message)?),
    };
    let engine = &face.core().engine;
    let spec = engine.spec(inst);
    let least = match words.notional_min {
        0 => spec.notional_min,
        whole => i128::from(whole) * UNIT,
    };
    if let (Some(price), Size::Base(qty)) = (price, size)
        && spec.notional(price, qty).is_none_or(|value| value < least)
    {
        return Err(Why::Notional);
    }
    let open = engine.open_orders(account);
    if open.filter(|order| order.ask.inst == inst).count() >= words.open_max {
        return Err(Why::TooMany);
    }
    let mut ask = NewOrder {
        account,
        inst,
        side,
        price,
        size,
        tif,
        post_only,
        client_id: Arc::from(client_id),
        type_name: "",
        echo: Arc::from(""),
    };
    face.dress(&mut ask);
    Ok(ask)
}

/// What ExecInst asks for; `None` when it asks for something else.
pub fn post_only(words: &Words, message: &Message) -> Option<PostOnly> {
    let Some(flags) = message.get(18) else {
        return Some(PostOnly::No);
    };
    let has = |word: &str| flags.split(' ').any(|flag| flag == word);
    let found = words.post_only.iter().find(|(word, _)| has(word));
    found.map(|(_, post)| *post)
}

/// A price on the tick.
pub fn parse_price(face: &mut dyn Face, inst: usize, message: &Message) -> Result<i64, Why> {
    let spec = face.core().engine.spec(inst);
    let price = text::increments(message.text(44), spec.price_decimals).ok_or(Why::Price)?;
    let price = price.filter(|price| price % spec.tick == 0);
    price.ok_or(Why::Tick).and_then(|price| {
        let is_price = price > 0;
        is_price.then_some(price).ok_or(Why::Price)
    })
}

/// A quantity the instrument takes: in contracts at a venue that counts in them, unless QtyType (854) says units.
pub fn parse_qty(
    face: &mut dyn Face,
    (inst, books): (usize, Books),
    message: &Message,
) -> Result<i64, Why> {
    let spec = face.core().engine.spec(inst);
    let qty = if books == Books::Contracts && message.get(854) != Some("0") {
        let contracts = message.number(38).and_then(|it| i64::try_from(it).ok());
        contracts.and_then(|contracts| contracts.checked_mul(spec.lot))
    } else {
        text::increments(message.text(38), spec.qty_decimals).flatten()
    };
    qty.filter(|qty| qty % spec.lot == 0 && (spec.qty_min..=spec.qty_max).contains(qty))
        .ok_or(Why::Qty)
}
