//! The question for what is missing, to the venue's retransmit gateway. What comes in answer are packets like all
//! others.

use super::super::channels::Missing;
use super::places::{header, packet, request};
use dp_types::UnixNanos;

/// Bytes of a request.
pub const RETRANSMIT_LEN: usize = packet::LEN + header::LEN + request::LEN;

/// The datagram that asks the retransmit gateway for what is missing, as many messages as one request may. A refusal
/// carries `correlation` back.
pub fn retransmit_request(
    missing: Missing,
    correlation: i64,
    now: UnixNanos,
) -> [u8; RETRANSMIT_LEN] {
    let mut bytes = [0; RETRANSMIT_LEN];
    let mut put = |at: usize, field: &[u8]| {
        let room = bytes.get_mut(at..at + field.len());
        if let Some(room) = room {
            room.copy_from_slice(field);
        }
    };
    let count = missing.count.min(request::COUNT_MAX) as u8; // at most 255
    let message_len = (header::LEN + request::LEN) as u16;
    put(packet::SEND_TIME, &now.0.to_le_bytes());
    put(packet::NUMBER, &correlation.to_le_bytes());
    put(packet::CHANNEL, &missing.channel.to_le_bytes());
    put(packet::KIND, &packet::RETRANSMIT.to_le_bytes());
    put(packet::COUNT, &1u16.to_le_bytes());
    let message = packet::LEN;
    put(message + header::MESSAGE_LEN, &message_len.to_le_bytes());
    put(message + header::TEMPLATE, &request::TEMPLATE.to_le_bytes());
    put(
        message + header::TEMPLATE + 2,
        &request::VERSION.to_le_bytes(),
    );
    put(message + header::TIME, &now.0.to_le_bytes());
    put(message + header::LEN, &missing.first.to_le_bytes());
    put(message + header::LEN + 8, &[count]);
    bytes
}
