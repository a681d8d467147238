//! Hours with a fault every minute: what must be so at the end is what must be so after every case.

use crate::stage::Stage as _;
use crate::stage::{Memory, Virtual, sim_config};
use crate::trial::{Held, TRADED, Trial};
use crate::venues::Tried;
use dp_strategy::{Intent, Wish};
use dp_types::{OrderKind, Side, Tif};
use spinlane_sim::config::SimConfig;
use spinlane_sim::flow::FlowConfig;

/// What goes wrong, one of these each minute.
const FAULTS: &[&str] = &[
    "gap",
    "gap:n=3",
    "duplicate:n=2",
    "reorder",
    "bad-checksum",
    "seq-reset",
    "snapshot-old",
    "snapshot-new:ms=300",
    "extra-fields:n=5",
    "disconnect:link=public",
    "disconnect:link=private",
    "disconnect",
    "silence:link=public:for=25s",
    "silence:link=private:for=25s",
    "restart:for=2s",
    "reject",
    "timeout:executed=true",
    "timeout:executed=false",
    "lost-ack",
    "slow-ack:ms=1500",
    "reply-after-stream",
    "stream-after-reply:ms=800",
    "duplicate-fill",
    "rate-limit:for=3s",
    "http-500:executed=true",
    "http-500:executed=false",
    "clock-skew:ms=700",
    "clock-skew:ms=-700",
    "token-expiry",
];
/// Orders left resting at once.
const RESTING_MAX: usize = 4;
/// After a fault time runs finely for so long, then coarsely to the minute's end.
const FINE_MS: u64 = 3_000;

/// What hours with a venue came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Faults given.
    pub faults: u64,
    /// Those the venue carried out.
    pub used: u64,
    /// Orders the venue took.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Connections opened anew.
    pub reconnects: u64,
    /// Books begun anew.
    pub resyncs: u64,
}

/// xorshift64: spread, not secrecy.
struct Dice(u64);

impl Dice {
    const fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Lets a venue and our lane live together for `minutes`. Errors: what was not so at the end, and when.
pub fn run(venue: Tried, minutes: u64, seed: u64) -> Result<Report, String> {
    let memory = Memory::new();
    let sim = SimConfig {
        flow: FlowConfig {
            ticks_per_s: 5,
            ..FlowConfig::default()
        },
        ..sim_config(&venue, seed)
    };
    let (mut stage, known) = Virtual::with(&memory, venue, 1, &sim);
    let links = known.links;
    let mut trial = Trial::new(&mut stage, known);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    trial.come_up()?;
    for minute in 0..minutes {
        let fault = FAULTS[dice.roll(FAULTS.len())];
        trial.fault(fault);
        act(&mut trial, &mut dice);
        trial.run(FINE_MS);
        act(&mut trial, &mut dice);
        trial.run(60_000 - FINE_MS);
        let near = |why| format!("after {minute} minutes, {fault} last: {why}");
        trial.quiet().map_err(near)?;
        // Twice an hour everything must be the venue's, so that a failure is told near its cause.
        if minute % 30 == 29 {
            trial.fault("clock-skew:ms=0");
            trial.agree().map_err(near)?;
        }
    }
    trial.fault("clock-skew:ms=0");
    trial.agree()?;
    let report = report(&mut trial, minutes);
    let open = stage.open_connections();
    if open > links {
        return Err(format!(
            "{open} connections are open at the venue, we have {links} links"
        ));
    }
    let (theirs, ours) = (
        stage.stats()["connections"].as_u64(),
        stage.open_websockets(),
    );
    if theirs != Some(ours as u64) {
        return Err(format!(
            "the venue keeps {theirs:?} sessions, {ours} are open"
        ));
    }
    Ok(report)
}

/// One thing a trader does; nothing when trading is not allowed now.
fn act(it: &mut Trial<'_, '_>, dice: &mut Dice) {
    let _ = wish(it, dice);
}

fn wish(it: &mut Trial<'_, '_>, dice: &mut Dice) -> Held {
    if !it.script().can_trade {
        return Ok(());
    }
    let live: Vec<_> = it.stage().engine().oms().live(TRADED).copied().collect();
    let qty = it.small()?;
    let side = if dice.roll(2) == 0 {
        Side::Buy
    } else {
        Side::Sell
    };
    let pick = |dice: &mut Dice| live[dice.roll(live.len())];
    let new = |kind, tif, price| {
        Intent::New(Wish {
            leg: None,
            side,
            kind,
            tif,
            price,
            qty,
        })
    };
    let wish = match dice.roll(4) {
        0 => new(OrderKind::Limit, Tif::Ioc, it.best(side.opposite())?.price),
        1 if !live.is_empty() && it.known.capabilities.amend_price => {
            let order = pick(dice);
            Intent::Amend {
                client_id: order.client_id,
                price: Some(it.behind(order.side)?),
                qty: None,
            }
        }
        2 if !live.is_empty() => Intent::Cancel {
            client_id: pick(dice).client_id,
        },
        _ if live.len() >= RESTING_MAX => Intent::Cancel {
            client_id: pick(dice).client_id,
        },
        _ => new(OrderKind::PostOnly, Tif::Gtc, it.behind(side)?),
    };
    it.script().wishes.push_back(wish);
    Ok(())
}

fn report(it: &mut Trial<'_, '_>, minutes: u64) -> Report {
    use dp_shm::Counter;
    let stats = it.stage().stats();
    let used = stats["faults"].as_object().into_iter().flatten();
    let used = used.filter(|(name, _)| *name != "calm");
    Report {
        faults: minutes,
        used: used.filter_map(|(_, count)| count.as_u64()).sum(),
        orders: it.count(Counter::Acks),
        fills: it.count(Counter::Fills),
        reconnects: it.count(Counter::Reconnects),
        resyncs: it.count(Counter::Resyncs),
    }
}
