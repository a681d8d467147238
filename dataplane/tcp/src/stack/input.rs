//! A frame came: whose is it.

use super::{Arrival, REPLIES_MAX, Reply, Stack, Verdict};
use crate::connection::State;
use crate::seq::Seq;
use crate::wire::WireError;
use crate::wire::ethernet::{self, Arp, ETHERNET_LEN, EthernetHeader, Mac};
use crate::wire::icmp::{self, Reason};
use crate::wire::ipv4::{self, Ipv4Header};
use crate::wire::tcp::{self, Flags, TcpHeader};
use core::net::SocketAddrV4;

impl Stack {
    /// Takes one frame that arrived at `now`.
    ///
    /// Any number may be fed before one round of [`Stack::poll_transmit`]; one ACK then answers
    /// them. Cost: headers, one pass of checksum, one lookup. No allocation.
    #[inline]
    pub fn on_frame(&mut self, frame: &[u8], now: u64) -> Arrival {
        self.tick(now);
        self.counters.frames_in += 1;
        let Some(header) = EthernetHeader::parse(frame) else {
            return self.refuse(WireError::Truncated);
        };
        let packet = frame.get(ETHERNET_LEN..).unwrap_or_default();
        let is_to_us = header.target == self.config.host.mac;
        match header.kind {
            ethernet::IPV4 if is_to_us => self.on_packet(packet, header.source),
            ethernet::ARP if is_to_us || header.target == Mac::BROADCAST => self.on_arp(packet),
            _ => self.pass(),
        }
    }

    fn on_arp(&mut self, packet: &[u8]) -> Arrival {
        let host = self.config.host;
        let asked = Arp::parse(packet).filter(|arp| arp.is_request && arp.target == host.address);
        match asked {
            Some(arp) if self.config.answers_arp => {
                self.reply(Reply::Arp(Arp {
                    is_request: false,
                    source_mac: host.mac,
                    source: host.address,
                    target_mac: arp.source_mac,
                    target: arp.source,
                }));
                Arrival::nothing(Verdict::Taken)
            }
            _ => self.pass(),
        }
    }

    fn on_packet(&mut self, packet: &[u8], source: Mac) -> Arrival {
        let header = match Ipv4Header::parse(packet, self.config.checksums) {
            Ok(header) => header,
            Err(error) => return self.refuse(error),
        };
        if header.target != self.config.host.address {
            return self.pass();
        }
        let payload_at = ETHERNET_LEN + header.payload.start;
        let payload = packet.get(header.payload.clone()).unwrap_or_default();
        match header.protocol {
            ipv4::TCP => self.on_tcp(&header, payload, payload_at, source),
            ipv4::ICMP => self.on_icmp(payload),
            _ => self.pass(),
        }
    }

    #[inline]
    fn on_tcp(
        &mut self,
        ip: &Ipv4Header,
        segment: &[u8],
        segment_at: usize,
        source: Mac,
    ) -> Arrival {
        let (header, header_len) = match TcpHeader::parse(segment) {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse(error),
        };
        let local = SocketAddrV4::new(ip.target, header.target_port);
        let remote = SocketAddrV4::new(ip.source, header.source_port);
        let found = self.table.find(local, remote);
        if found.is_none() && !self.is_ours(local.port()) {
            return self.pass();
        }
        if let Err(error) = tcp::verify(segment, ip.source, ip.target, self.config.checksums) {
            return self.refuse(error);
        }
        let payload = segment.get(header_len..).unwrap_or_default();
        let Some(index) = found else {
            return self.on_stranger(local, remote, &header, payload.len(), source);
        };
        let now = self.now;
        let Some(slot) = self.table.slot_mut(index) else {
            return Arrival::nothing(Verdict::Dropped);
        };
        if slot.conn.state() == State::Closed {
            // Over, but the application has not let go of it yet.
            return self.on_unknown(local, remote, &header, payload.len(), source);
        }
        let range = slot.conn.on_segment(now, &header, payload);
        self.marked.add(index);
        let id = self.table.id(index);
        let events = self.collect(index);
        let is_known = self.table.slot(index).is_some_and(|slot| slot.is_known);
        let at = segment_at + header_len;
        Arrival {
            verdict: Verdict::Taken,
            conn: is_known.then_some(id),
            data: at + range.start..at + range.end,
            events,
        }
    }

    /// A segment of no connection: the first of a new one, or an error.
    fn on_stranger(
        &mut self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        header: &TcpHeader,
        payload_len: usize,
        source: Mac,
    ) -> Arrival {
        let is_opening = header.flags.has(Flags::SYN)
            && !header.flags.has(Flags::ACK)
            && !header.flags.has(Flags::RST)
            && self.listeners.contains(&local.port());
        if !is_opening {
            return self.on_unknown(local, remote, header, payload_len, source);
        }
        if self.half_open >= self.config.half_open_max
            && let Some(oldest) = self.table.oldest_half_open()
        {
            // In a flood the oldest gives way: an honest peer confirms within a round trip.
            self.counters.half_open_evicted += 1;
            self.free(oldest);
        }
        let place = self.table.free();
        let next_hop = self.next_hop(*remote.ip()).ok();
        let neighbour = next_hop.and_then(|next_hop| self.neighbours.place(next_hop));
        let (Some(index), Some(neighbour)) = (place, neighbour) else {
            self.counters.syns_refused += 1;
            return Arrival::nothing(Verdict::Dropped);
        };
        if self.neighbours.mac(neighbour).is_none() {
            // Who listens is a test bench or a simulated venue: it answers whence it was asked.
            self.neighbours.set_place(neighbour, source);
        }
        let opening = self.opening(local, remote);
        let now = self.now;
        self.accepted += 1;
        if let Some(slot) = self.table.slot_mut(index) {
            slot.conn.accept(opening, header, now);
            slot.neighbour = neighbour;
            slot.number = self.accepted;
            (slot.is_known, slot.is_released) = (false, false);
        }
        self.table.link(index);
        self.half_open += 1;
        self.marked.add(index);
        Arrival::nothing(Verdict::Taken)
    }

    fn on_unknown(
        &mut self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        header: &TcpHeader,
        payload_len: usize,
        mac: Mac,
    ) -> Arrival {
        self.counters.unknown += 1;
        if self.config.resets_unknown && !header.flags.has(Flags::RST) {
            // RFC 9293, 3.10.7.1.
            let extra =
                u32::from(header.flags.has(Flags::SYN)) + u32::from(header.flags.has(Flags::FIN));
            let end = header.seq.plus(payload_len as u32).plus(extra);
            let (seq, ack) = if header.flags.has(Flags::ACK) {
                (header.ack, None)
            } else {
                (Seq(0), Some(end))
            };
            self.reply(Reply::Reset {
                local,
                remote,
                mac,
                seq,
                ack,
            });
        }
        Arrival::nothing(Verdict::Dropped)
    }

    fn on_icmp(&mut self, message: &[u8]) -> Arrival {
        let told = match icmp::parse(message, self.config.checksums) {
            Ok(Some(told)) => told,
            Ok(None) => return self.pass(),
            Err(error) => return self.refuse(error),
        };
        let Some(index) = self.table.find(told.local, told.remote) else {
            return self.pass();
        };
        let now = self.now;
        let is_true = self
            .table
            .slot_mut(index)
            .is_some_and(|slot| match told.reason {
                Reason::TooBig(mtu) => slot.conn.on_too_big(now, told.seq, mtu),
                Reason::Refused => slot.conn.on_unreachable(now, told.seq),
                Reason::Soft => true,
            });
        if !is_true {
            self.counters.icmp_forged += 1;
            return Arrival::nothing(Verdict::Dropped);
        }
        self.counters.icmp_errors += 1;
        self.marked.add(index);
        let id = self.table.id(index);
        let events = self.collect(index);
        Arrival {
            conn: Some(id),
            events,
            ..Arrival::nothing(Verdict::Taken)
        }
    }

    fn is_ours(&self, port: u16) -> bool {
        let (first, last) = self.config.ports;
        (first..=last).contains(&port) || self.listeners.contains(&port)
    }

    fn reply(&mut self, reply: Reply) {
        if self.replies.len() < REPLIES_MAX {
            self.replies.push_back(reply);
        } else {
            self.counters.replies_dropped += 1;
        }
    }

    fn pass(&mut self) -> Arrival {
        self.counters.passed += 1;
        Arrival::nothing(Verdict::Passed)
    }

    fn refuse(&mut self, error: WireError) -> Arrival {
        match error {
            WireError::Checksum => self.counters.bad_checksums += 1,
            WireError::Fragment => self.counters.fragments += 1,
            WireError::Truncated | WireError::Malformed => self.counters.malformed += 1,
        }
        Arrival::nothing(Verdict::Dropped)
    }
}
