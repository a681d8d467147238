//! Logons: who may come in, and what the session begins with.

use super::{DAY_MS, Door, Name, ROLLOVER, Up, now};
use crate::core::{ConnId, Core};
use crate::engine::AccountId;
use crate::fault::Link;
use crate::fix::codec::Message;
use crate::fix::session::{Rules, Session, Store, Verdict};
use crate::venues::Face;
use crate::window::Window;

/// Sessions whose numbers are kept.
const STORES_MAX: usize = 1_000;
/// Keys whose logons are counted.
const KEYS_MAX: usize = 1_000;
/// How long a rollover takes, milliseconds.
const ROLLOVER_MS: i64 = 30_000;

impl Door {
    /// The first message: it has to be a logon that may be.
    pub(super) fn log_on(&mut self, face: &mut dyn Face, id: ConnId, message: &Message) -> Verdict {
        let core = face.core();
        if message.kind() != "A" || message.begin != self.profile.begin {
            return Verdict::Over;
        }
        let now = now(core);
        let name: Name = (message.text(49).to_owned(), message.text(56).to_owned());
        let mut rules = Rules {
            begin: self.profile.begin,
            ours: name.1.clone(),
            theirs: name.0.clone(),
            resends: self.profile.keeps,
            skew_ms: self.profile.skew_ms,
            heartbeat_ns: u64::MAX,
        };
        match self.may_log_on(core, &name, message) {
            Ok((account, heartbeat_s)) => {
                rules.heartbeat_ns = heartbeat_s * 1_000_000_000;
                self.greet(core, id, (name, account), rules, message)
            }
            Err(text) => {
                core.record.refused("logon", "", 0, &text, core.now);
                // Nobody's numbers are touched by who is not known.
                let mut session = Session::new(rules, now);
                session.log_out(&mut Store::default(), now, &text);
                for bytes in session.out {
                    core.send_bytes(id, bytes);
                }
                Verdict::Over
            }
        }
    }

    fn may_log_on(
        &mut self,
        core: &Core,
        name: &Name,
        message: &Message,
    ) -> Result<(Option<AccountId>, u64), String> {
        let profile = self.profile;
        let is_known = match &self.agreed {
            Some(agreed) => agreed.gateway == name.1,
            None => profile.targets.contains(&name.1.as_str()),
        };
        if !is_known {
            return Err("unknown TargetCompID".to_owned());
        }
        if self
            .blocked
            .get(name)
            .is_some_and(|until| *until > core.now)
        {
            return Err("the last session did not log out: wait".to_owned());
        }
        if let Some(at) = profile.rollover_ms
            && (core.venue_ms() - at).rem_euclid(DAY_MS) < ROLLOVER_MS
        {
            return Err(ROLLOVER.to_owned());
        }
        if message.get(98).is_some_and(|method| method != "0") {
            return Err("EncryptMethod must be 0".to_owned());
        }
        let (least, most, usual) = match &self.agreed {
            Some(agreed) => (agreed.heartbeat_s, agreed.heartbeat_s, agreed.heartbeat_s),
            None => profile.heartbeat_s,
        };
        let asked = message.get(108).map_or(Ok(usual), str::parse);
        let heartbeat_s = asked
            .ok()
            .filter(|beat| (least..=most).contains(beat))
            .ok_or_else(|| format!("HeartBtInt must be {least} to {most}"))?;
        let account = match &self.agreed {
            Some(agreed) => agreed.check(name, message)?,
            None => (profile.log_on)(core, message)?,
        };
        let key = message.text(553);
        if account.is_some() {
            if self.logons.len() > KEYS_MAX {
                self.logons.clear();
            }
            let (count, length_ns) = profile.logons;
            let window = self.logons.entry(key.to_owned());
            let window = window.or_insert_with(|| Window::new(count, length_ns));
            if !window.take(core.now, 1) {
                return Err("too many logons".to_owned());
            }
        }
        let ups = self.conns.values().filter_map(|conn| conn.up.as_ref());
        let (mut same_key, mut same_name) = (0, false);
        for up in ups {
            // Of the same host, where the venue has several.
            let is_same = up.key == key && up.name.1 == name.1;
            same_key += usize::from(account.is_some() && is_same);
            same_name |= up.name == *name;
        }
        if same_name || same_key >= profile.sessions_max {
            return Err("session limit: already logged on".to_owned());
        }
        if self.stores.len() >= STORES_MAX && !self.stores.contains_key(name) {
            return Err("too many sessions".to_owned());
        }
        Ok((account, heartbeat_s))
    }

    fn greet(
        &mut self,
        core: &mut Core,
        id: ConnId,
        (name, account): (Name, Option<AccountId>),
        rules: Rules,
        message: &Message,
    ) -> Verdict {
        let profile = self.profile;
        let resets = self.agreed.as_ref().is_some_and(|agreed| agreed.resets);
        let is_reset = !profile.keeps || resets || message.is_set(141);
        let now = now(core);
        let mut answer = Message::new("A");
        answer
            .put(98, 0)
            .put(108, rules.heartbeat_ns / 1_000_000_000);
        answer.put_some(141, is_reset.then_some("Y"));
        answer.put_some(1137, profile.appl);
        let (soft, hard, length_ns) = profile.messages;
        let up = Up {
            key: message.text(553).to_owned(),
            account,
            session: Session::new(rules, now),
            on_cut: (profile.on_cut)(message),
            has_drop_copy: message.is_set(9406),
            soft: Window::new(soft, length_ns),
            hard: Window::new(hard, length_ns),
            floor: 0,
            close_at: None,
            is_forgotten: false,
            has_logged_out: false,
            name: name.clone(),
        };
        // Where both sessions speak to one name, ours tells which it is.
        if name.1.ends_with("-MD") || name.0.ends_with("-MD") {
            core.opened(id, Link::FixData);
        }
        let store = self.stores.entry(name).or_default();
        if is_reset {
            *store = Store::default();
        }
        let Some(conn) = self.conns.get_mut(&id) else {
            return Verdict::Over;
        };
        let up = conn.up.insert(up);
        up.session.log_on(store, now, message, &answer)
    }
}
