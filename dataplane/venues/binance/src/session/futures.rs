//! What a session with the futures does beside spot's: the user stream and its key, signs of life, the dead man's
//! switch, the cancel of everything. On spot none of it happens.

use super::{ANSWER_WAIT_NS, Session, min_of};
use crate::entry::{self, Refusal};
use crate::rest::{self, Ask};
use crate::usdm::batch::{self, BATCH_MAX};
use crate::usdm::{self, switch};
use crate::{LINK_MD, LINK_ORDERS, LINK_USER};
use dp_types::{
    AmendOrder, ClientOrderId, Instrument, LinkId, NewOrder, Now, RejectReason, UnixNanos,
};
use dp_venue_api::{BatchLink, Control, EntryError, Event, Fault, OrderBatch, Registry, Sink};
use dp_wire::buf::Overflow;

/// Where a listen key is asked for and kept alive.
const KEY_PATH: &str = "/fapi/v1/listenKey";
/// What a sign of life weighs.
const PROBE_WEIGHT: u32 = 2;

impl Session {
    // ---- logged in -----------------------------------------------------------------------------------

    /// Whether orders may go out: their link is ready, and so is the stream that tells of them.
    pub(crate) fn is_logged_in(&self) -> bool {
        let is_told = self.futures.as_ref().is_none_or(|it| it.user.is_open);
        self.orders.is_ready && is_told
    }

    pub(super) fn tell_logged_in(&mut self, now: Now, out: &mut impl Sink) {
        if !self.is_logged_in() {
            return;
        }
        if let Some(futures) = &mut self.futures {
            futures.switch.start(now);
        }
        out.event(&Event::Control(Control::LoggedIn(LINK_ORDERS)));
    }

    pub(super) fn not_logged_in(&mut self) {
        if let Some(futures) = &mut self.futures {
            futures.switch.stop();
        }
    }

    // ---- the user stream -----------------------------------------------------------------------------

    pub(super) fn user_opened(&mut self, now: Now, out: &mut impl Sink) {
        if let Some(futures) = &mut self.futures {
            futures.user.opened(now);
            self.tell_logged_in(now, out);
        }
    }

    /// What becomes of orders is not heard any more: their link goes too.
    pub(super) fn user_closed(&mut self, now: Now, out: &mut impl Sink) {
        let Some(futures) = &mut self.futures else {
            return;
        };
        futures.user.closed(now);
        futures.switch.stop();
        if self.orders.is_open {
            out.reconnect(LINK_ORDERS, "the user stream is gone");
        }
    }

    pub(super) fn key_at(&self) -> Option<UnixNanos> {
        self.auth.as_ref()?;
        Some(self.futures.as_ref()?.user.at)
    }

    /// Asks for a key, or keeps the one in use alive.
    pub(super) fn ask_key(&mut self, now: Now, out: &mut impl Sink) {
        let (Some(futures), Some(auth)) = (&mut self.futures, &self.auth) else {
            return;
        };
        let ask = if futures.user.wants_key() {
            Ask::ListenKey
        } else {
            Ask::KeepAlive
        };
        if !self.limits.request(now.unix, ask.weight(self.product)) {
            futures.user.failed(now);
            return;
        }
        futures.user.asked(now);
        rest::ask(ask, KEY_PATH, Some(auth.api_key()), out);
    }

    /// Its answer was lost, or could not be read.
    pub(super) fn key_lost(&mut self, now: Now) {
        if let Some(futures) = &mut self.futures {
            futures.user.failed(now);
        }
    }

    /// The venue said no. A key that cannot be kept alive is one no more; where none is given, the login is refused.
    /// Whether that is all there is to say: nothing was lost.
    pub(super) fn key_refused(
        &mut self,
        ask: Ask,
        reason: RejectReason,
        now: Now,
        out: &mut impl Sink,
    ) -> bool {
        use RejectReason::{RateLimit, Timestamp, UnknownOutcome, VenueDown};
        let is_passing = matches!(reason, RateLimit | Timestamp | UnknownOutcome | VenueDown);
        match (&mut self.futures, ask) {
            _ if is_passing => return false,
            (_, Ask::KeepAlive) => self.key_expired(now, out),
            (Some(futures), Ask::ListenKey) => {
                futures.user.refused(now);
                out.event(&Event::Control(Control::LoginRefused(reason)));
            }
            _ => return false,
        }
        true
    }

    pub(super) fn key_expired(&mut self, now: Now, out: &mut impl Sink) {
        if let Some(futures) = &mut self.futures
            && futures.user.expired(now)
        {
            out.reconnect(LINK_USER, "the listen key has ended");
        }
    }

    pub(super) fn on_key(&mut self, target: &str, now: Now, out: &mut impl Sink) {
        let Some(futures) = &mut self.futures else {
            return;
        };
        if !futures.user.wants_key() {
            out.event(&Event::Ignored("a token nobody waits for"));
            return;
        }
        futures.user.keyed(now);
        out.event(&Event::Ignored("a token for a link"));
        out.connect(LINK_USER, target);
    }

    /// Something came over a link; whether it said that a request of ours was taken.
    #[inline]
    pub(super) fn futures_heard(&mut self, link: LinkId, was_taken: bool, now: Now) {
        if let Some(futures) = &mut self.futures {
            match link {
                LINK_USER => futures.user.heard(now),
                _ if was_taken => futures.user.owes(now),
                _ => {}
            }
        }
    }

    // ---- time ----------------------------------------------------------------------------------------

    pub(super) fn futures_deadline(&self) -> Option<UnixNanos> {
        let futures = self.futures.as_ref()?;
        min_of([
            futures.user.deadline(),
            futures.probe_at,
            futures.income.at.filter(|_| self.is_rest_open),
            futures.switch.at.filter(|_| futures.is_cancels_open),
        ])
    }

    pub(super) fn futures_due(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let Some(futures) = &mut self.futures else {
            return;
        };
        if let Some((why, is_planned)) = futures.user.over(now) {
            if is_planned {
                out.event(&Event::Control(Control::ClosingSoon(LINK_USER)));
            }
            out.reconnect(LINK_USER, why);
        }
        if futures.probe_at.is_none_or(|at| at <= now.unix) {
            futures.probe_at = Some(now.unix.after(usdm::PROBE_NS));
            self.probe(now, out);
        }
        self.arm(registry, now, out);
        self.ask_income(now, out);
    }

    // ---- funding -------------------------------------------------------------------------------------

    pub(super) fn funding_paid(&mut self, now: Now) {
        if let Some(futures) = &mut self.futures {
            futures.income.paid(now);
        }
    }

    /// Nothing that was paid while we were away is left out.
    pub(super) fn funding_compared(&mut self, now: Now) {
        if let Some(futures) = &mut self.futures {
            futures.income.compared(now);
        }
    }

    fn ask_income(&mut self, now: Now, out: &mut impl Sink) {
        let (Some(futures), Some(auth)) = (&mut self.futures, &self.auth) else {
            return;
        };
        if !self.is_rest_open || !futures.income.is_due(now) {
            return;
        }
        if !self
            .limits
            .request(now.unix, Ask::Income.weight(self.product))
        {
            futures.income.failed(now);
            return;
        }
        let query = format!(
            "incomeType=FUNDING_FEE&startTime={}&limit={}&timestamp={}",
            futures.income.asked(now),
            usdm::income::ROWS_MAX,
            now.unix.millis()
        );
        let target = auth.sign_target("/fapi/v1/income", &query);
        rest::ask(Ask::Income, &target, Some(auth.api_key()), out);
    }

    pub(super) fn income_failed(&mut self, now: Now) {
        if let Some(futures) = &mut self.futures {
            futures.income.failed(now);
        }
    }

    pub(super) fn on_income(&mut self, listed: (usize, u64), now: Now) {
        if let Some(futures) = &mut self.futures {
            futures.income.listed(listed, now);
        }
    }

    /// Asks the links that answer for a sign of life.
    fn probe(&mut self, now: Now, out: &mut impl Sink) {
        if self.md.is_open {
            out.send_text(LINK_MD, usdm::STREAMS_PROBE);
        }
        if self.orders.is_ready
            && self.limits.request(now.unix, PROBE_WEIGHT)
            && usdm::entry::write_probe(&mut self.message).is_ok()
        {
            out.send_text(LINK_ORDERS, self.message.as_bytes());
        }
    }

    // ---- the link of cancels -------------------------------------------------------------------------

    pub(super) fn cancels_opened(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        if let Some(futures) = &mut self.futures {
            futures.is_cancels_open = true;
            futures.switch.relinked(now);
            self.arm(registry, now, out);
        }
    }

    pub(super) fn cancels_closed(&mut self, now: Now) {
        if let Some(futures) = &mut self.futures {
            futures.is_cancels_open = false;
            futures.switch.relinked(now);
        }
    }

    /// Puts the switch of the symbol off whose turn it is.
    fn arm(&mut self, registry: &Registry, now: Now, out: &mut impl Sink) {
        let (Some(futures), Some(auth)) = (&mut self.futures, &self.auth) else {
            return;
        };
        if !futures.is_cancels_open || !futures.switch.is_due(now) {
            return;
        }
        let symbols = self.followed.len();
        let followed = self.followed.get(futures.switch.place);
        let Some(known) = followed.and_then(|it| registry.get(it.id)) else {
            futures.switch.stop(); // nothing is followed
            return;
        };
        let ask = Ask::DeadMan(known.id);
        if !self.limits.request(now.unix, ask.weight(self.product)) {
            futures.switch.later(now);
            return;
        }
        futures.switch.asked(symbols, now);
        let query = format!(
            "symbol={}&countdownTime={}&timestamp={}",
            known.symbol,
            switch::countdown_ms(symbols),
            now.unix.millis()
        );
        let target = auth.sign_target("/fapi/v1/countdownCancelAll", &query);
        rest::ask(ask, &target, Some(auth.api_key()), out);
    }

    /// The switch was answered, or its answer was lost.
    pub(super) fn put_off(&mut self, now: Now) {
        let symbols = self.followed.len();
        if let Some(futures) = &mut self.futures {
            futures.switch.answered(symbols, now);
        }
    }

    pub(super) fn on_done(&mut self, ask: Ask, now: Now, out: &mut impl Sink) {
        out.event(&Event::Ignored(match ask {
            Ask::DeadMan(_) => {
                self.put_off(now);
                "dead man's switch armed"
            }
            Ask::CancelAll(_) => "all orders are being cancelled; the stream tells of each",
            _ => {
                if let Some(futures) = &mut self.futures {
                    futures.user.keyed(now);
                }
                "a listen key is kept alive"
            }
        }));
    }

    /// One request over the link of cancels ends everything of the symbol. Errors: [`EntryError`].
    pub(crate) fn cancel_all_by_rest(
        &mut self,
        known: &Instrument,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let is_open = self.futures.as_ref().is_some_and(|it| it.is_cancels_open);
        let auth = self.auth.as_ref().filter(|_| is_open);
        let auth = auth.ok_or(EntryError::NotReady)?;
        if !self.limits.cancel(now.unix) {
            return Err(EntryError::RateLimited);
        }
        let query = format!(
            "symbol={}&recvWindow={}&timestamp={}",
            known.symbol,
            entry::WINDOW_MS_MAX,
            now.unix.millis()
        );
        let target = auth.sign_target("/fapi/v1/allOpenOrders", &query);
        rest::ask(Ask::CancelAll(known.id), &target, Some(auth.api_key()), out);
        Ok(())
    }

    // ---- orders that go together ---------------------------------------------------------------------

    pub(super) fn with_batch_link(&mut self, say: impl FnOnce(&mut BatchLink)) {
        if let Some(batches) = self.futures.as_mut().and_then(|it| it.batches.as_mut()) {
            say(&mut batches.link);
        }
    }

    /// New orders one request may carry.
    pub(crate) fn batch_max(&self) -> usize {
        let has_batches = self.futures.as_ref().is_some_and(|it| it.batches.is_some());
        if has_batches { BATCH_MAX } else { 1 }
    }

    /// Sends new orders of one instrument in one request. Nothing leaves when it errs. Errors: [`EntryError`].
    pub(crate) fn new_orders(
        &mut self,
        known: &Instrument,
        orders: &[NewOrder],
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), EntryError> {
        let is_logged_in = self.is_logged_in();
        let batches = self.futures.as_mut().and_then(|it| it.batches.as_mut());
        let batches = batches.ok_or(EntryError::Unsupported)?;
        let batch = OrderBatch::of(orders).filter(|it| it.count() <= BATCH_MAX);
        let batch = batch.ok_or(EntryError::Unsupported)?;
        let auth = self.auth.as_ref().filter(|_| is_logged_in);
        let auth = auth.ok_or(EntryError::NotReady)?;
        if !batches.link.is_free(now.unix, ANSWER_WAIT_NS) {
            return Err(EntryError::Backlog);
        }
        if !self.limits.new_batch(now.unix) {
            return Err(EntryError::RateLimited);
        }
        let sent = batches.send(
            (known, orders),
            batch,
            auth,
            (now, self.order_window_ms),
            out,
        );
        sent.map_err(|Overflow| EntryError::Unsupported)
    }

    /// The fates of a batch's orders went out: what was said beside them.
    ///
    /// Errors: something of it could not be read.
    pub(super) fn on_batch(
        &mut self,
        heard: batch::Heard,
        was_taken: bool,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if heard.is_full {
            self.limits.full_of_orders(now.unix);
        }
        if let Some(stop) = heard.stop {
            self.stop(stop, now, out);
        }
        if let Some(futures) = self.futures.as_mut().filter(|_| was_taken) {
            futures.user.owes(now);
        }
        heard.error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The whole batch was refused, or its outcome is open; a stop for rate was told already.
    ///
    /// Errors: an outcome that is open.
    pub(super) fn on_batch_refused(
        &mut self,
        batch: OrderBatch,
        refusal: Refusal,
        now: Now,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        if refusal.code == entry::TOO_MANY_ORDERS {
            self.limits.full_of_orders(now.unix);
        }
        batch::on_refusal(batch, refusal, out);
        // What was refused was told whole, order by order.
        match refusal.reason {
            RejectReason::UnknownOutcome => Err(refusal.fault()),
            _ => Ok(()),
        }
    }

    // ---- orders --------------------------------------------------------------------------------------

    /// What a change of this order must tell anew. Errors: [`EntryError::Unsupported`] when it is not known any more.
    pub(crate) fn terms(&self, amend: &AmendOrder) -> Result<usdm::Terms, EntryError> {
        let futures = self.futures.as_ref().ok_or(EntryError::NotReady)?;
        let known = futures.terms.of(amend.client_id);
        known.ok_or(EntryError::Unsupported)
    }

    /// Notes the terms of an order that was sent.
    pub(crate) fn note_terms(&mut self, id: ClientOrderId, terms: usdm::Terms) {
        if let Some(futures) = &mut self.futures {
            futures.terms.note(id, terms);
        }
    }
}
