//! The private link: its token, its two subscriptions, and the dead man's switch.

use super::{
    ANSWER_WAIT_NS, DEAD_MAN_REARM_NS, DEAD_MAN_RETRY_NS, DEAD_MAN_TIMEOUT_S, READY_WAIT_NS,
    REST_RETRY_NS, REST_WAIT_NS, Session,
};
use crate::LINK_PRIVATE;
use crate::entry::write_dead_man;
use crate::limits::Op;
use crate::reject::Refusal;
use crate::requests::{Channel, Kind};
use crate::rest;
use dp_types::{Now, RejectReason, Text};
use dp_venue_api::{Control, DecodeError, Event, Fault, Sink};
use dp_wire::json::Value;

impl Session {
    pub(super) fn ask_token(&mut self, now: Now, out: &mut impl Sink) {
        let Some(auth) = self.auth.as_ref().filter(|_| self.private.is_open) else {
            self.token_at = None;
            return;
        };
        self.token_at = Some(now.unix.after(REST_WAIT_NS));
        let nonce = self.nonces.next(now.unix);
        rest::ask_token(auth, self.token_link, nonce, out);
    }

    /// The token was refused or lost: again in a while, if it was for the link that is open.
    pub(super) fn token_failed(&mut self, link: u32, now: Now) {
        if link == self.token_link {
            self.token_at = self.token_at.map(|_| now.unix.after(REST_RETRY_NS));
        }
    }

    /// The token is here: both channels are entered with it.
    pub(super) fn on_token(
        &mut self,
        link: u32,
        now: Now,
        root: Value<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let token = rest::token(root)?;
        if link != self.token_link || !self.private.is_open || self.token_at.is_none() {
            out.event(&Event::Ignored("a token nobody waits for"));
            return Ok(());
        }
        self.token = Text::new(token).ok_or(DecodeError::TooMuch("token"))?;
        self.token_at = None;
        self.private.acks_missing = 2;
        self.private.ready_by = Some(now.unix.after(READY_WAIT_NS));
        for channel in [Channel::Executions, Channel::Balances] {
            self.enter(channel, Kind::Private(channel), out);
        }
        out.event(&Event::Ignored(
            "a token; LoggedIn follows the subscriptions",
        ));
        Ok(())
    }

    /// Enters a private channel: open orders and the latest trades, or balances, come as a snapshot.
    pub(super) fn enter(&mut self, channel: Channel, kind: Kind, out: &mut impl Sink) {
        let more = match channel {
            Channel::Executions => {
                r#","channel":"executions","snap_orders":true,"snap_trades":true,"order_status":true"#
            }
            Channel::Balances => r#","channel":"balances","snapshot":true"#,
        };
        let write = |text: &mut Vec<u8>| text.extend_from_slice(more.as_bytes());
        self.send_subscription(LINK_PRIVATE, "subscribe", kind, write, out);
    }

    /// Leaves a private channel, to enter it anew.
    pub(super) fn leave(&mut self, channel: Channel, out: &mut impl Sink) {
        let write = |text: &mut Vec<u8>| {
            text.extend_from_slice(br#","channel":""#);
            text.extend_from_slice(channel.name().as_bytes());
            text.push(b'"');
        };
        let kind = Kind::LeavePrivate(channel);
        self.send_subscription(LINK_PRIVATE, "unsubscribe", kind, write, out);
    }

    /// A private channel was entered, or refused. Without executions there is no trading; without balances there is.
    pub(super) fn entered(
        &mut self,
        channel: Channel,
        refusal: Option<Refusal>,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        match (channel, refusal) {
            (Channel::Executions, Some(refusal)) => {
                self.refuse_login(refusal.reason, out);
                return Ok(());
            }
            (Channel::Balances, refusal) => self.has_balances = refusal.is_none(),
            (Channel::Executions, None) => {}
        }
        let was_missing = self.private.acks_missing;
        self.private.acks_missing = was_missing.saturating_sub(1);
        if was_missing == 1 {
            self.private.is_ready = true;
            self.private.ready_by = None;
            self.dead_man_at = Some(now.unix);
            out.event(&Event::Control(Control::LoggedIn(LINK_PRIVATE)));
        } else {
            out.event(&Event::Ignored("subscription confirmed"));
        }
        match refusal {
            None => Ok(()),
            Some(Refusal { code, reason }) => Err(Fault::Venue { code, reason }),
        }
    }

    pub(super) fn refuse_login(&mut self, reason: RejectReason, out: &mut impl Sink) {
        out.event(&Event::Control(Control::LoginRefused(reason)));
        self.give_up(LINK_PRIVATE, "login refused", out);
    }

    /// The link is gone: token, places in the streams and whatever was asked go with it. The switch is not pushed
    /// back until the next login: if that takes long, the venue clears our orders.
    pub(super) fn leave_private(&mut self) {
        self.token = Text::EMPTY;
        self.token_at = None;
        self.executions_seq = None;
        self.balances_seq = None;
        self.dead_man_at = None;
        self.run = None;
        self.run_wanted_at = None;
        self.queries.clear();
    }

    pub(super) fn arm_dead_man(&mut self, now: Now, out: &mut impl Sink) {
        if !self.private.is_ready {
            self.dead_man_at = None;
            return;
        }
        let sent = self.send_order(Op::DeadMan, Kind::DeadMan, now, out, |_, to, text| {
            write_dead_man(DEAD_MAN_TIMEOUT_S, to, text);
        });
        self.dead_man_at = Some(now.unix.after(match sent {
            Ok(()) => ANSWER_WAIT_NS,
            Err(_) => DEAD_MAN_RETRY_NS,
        }));
    }

    /// The switch was pushed back: again a while later, or soon when it failed.
    pub(super) fn dead_man_answered(&mut self, is_armed: bool, now: Now, out: &mut impl Sink) {
        let pause = if is_armed {
            DEAD_MAN_REARM_NS
        } else {
            DEAD_MAN_RETRY_NS
        };
        self.dead_man_at = self.dead_man_at.map(|_| now.unix.after(pause));
        if is_armed {
            out.event(&Event::Ignored("dead man's switch armed"));
        }
    }
}
