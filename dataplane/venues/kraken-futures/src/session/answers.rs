//! REST answers: what each means, and what is asked again when one failed. Each of them lends the registry, and
//! rules that wait for it go in first.

use super::Session;
use crate::rest::{self, Ask};
use crate::{feed, legacy, reject};
use dp_types::{Now, RejectReason};
use dp_venue_api::limits::Refused;
use dp_venue_api::{Control, DecodeError, Event, Fault, Registry, RestResponse, Sink};
use dp_wire::json::Doc;

impl Session {
    pub(crate) fn on_response(
        &mut self,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let ask = Ask::of(response.tag).ok_or(DecodeError::Shape("a tag that is not ours"))?;
        let settled = self.settle_rules(registry, now, out);
        let result = self.read_response(ask, doc, registry, now, response, out);
        if let (Ask::Token(link), Err(_)) = (ask, result) {
            self.token_failed(link, now);
        }
        settled.and(result)
    }

    fn read_response(
        &mut self,
        ask: Ask,
        doc: &mut Doc,
        registry: &mut Registry,
        now: Now,
        response: RestResponse<'_>,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        let status = response.status;
        let of_status = Fault::Venue {
            code: i32::from(status),
            reason: reject::reason_of_status(status),
        };
        if status == 429 {
            self.stop(Refused::Other, response.retry_after_s, now, out);
        }
        if status == 0 {
            return Err(of_status);
        }
        let tree = match doc.parse_exact(response.body) {
            Ok(tree) => tree,
            Err(_) if !(200..300).contains(&status) => return Err(of_status),
            Err(error) => return Err(feed::of_json(error).into()),
        };
        let root = tree.root();
        if let Ask::Legacy(ask) = ask {
            return legacy::rest::on_answer(registry, ask, root, &mut self.levels, out);
        }
        if let Some(refusal) = rest::error_of(root)? {
            if matches!(ask, Ask::Token(_)) && is_for_people(refusal.reason) {
                out.event(&Event::Control(Control::LoginRefused(refusal.reason)));
            }
            return Err(Fault::Venue {
                code: refusal.code,
                reason: refusal.reason,
            });
        }
        if !(200..300).contains(&status) {
            return Err(of_status);
        }
        match ask {
            Ask::Token(link) => self.on_token(link, now, root, out),
            Ask::Status | Ask::Legacy(_) => {
                out.event(&Event::Ignored("system status"));
                Ok(())
            }
        }
    }
}

/// Whether trying again will not help.
const fn is_for_people(reason: RejectReason) -> bool {
    matches!(reason, RejectReason::Auth | RejectReason::Permission)
}
