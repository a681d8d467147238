//! After construction nothing allocates: not a handshake, not data, not a loss and its repair.

#[path = "../../wire/tests/alloc_count/mod.rs"]
mod alloc_count;

use alloc_count::{Counting, allocations};
use core::net::{Ipv4Addr, SocketAddrV4};
use dp_tcp::wire::ethernet::Mac;
use dp_tcp::{Host, Secret, Stack, StackConfig};

#[global_allocator]
static COUNTING: Counting = Counting;

fn stack(host: u8) -> Stack {
    let address = |host| Ipv4Addr::new(10, 0, 0, host);
    let mac = |host| Mac([2, 0, 0, 0, 0, host]);
    let us = Host::on_link(mac(host), address(host), 24);
    let config = StackConfig::new(us, (40_000, 40_100), Secret::new([host; 16]));
    let mut stack = Stack::new(&config).unwrap();
    assert!(stack.set_neighbour(address(3 - host), Some(mac(3 - host))));
    stack
}

#[test]
fn a_life_with_losses_touches_no_allocator() {
    let (mut client, mut server) = (stack(1), stack(2));
    assert!(server.listen(443));
    let mut frame = [0; 1_600];
    let (mut now, mut received, mut count) = (1_000_000_000, 0usize, 0u64);
    let (mut is_connected, mut is_closed) = (false, false);
    let remote = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 443);
    let id = client.connect(remote, now).unwrap();
    let message = vec![7; 40_000];
    let (calls, _) = allocations(|| {
        for _ in 0..20_000 {
            while let Some(len) = client.poll_transmit(now, &mut frame) {
                count += 1;
                // Every ninth frame is lost.
                if count % 9 != 0 {
                    let arrival = server.on_frame(&frame[..len], now);
                    received += arrival.data.len();
                    if let Some(conn) = arrival.conn.and_then(|id| server.conn_mut(id)) {
                        while !conn.readable().is_empty() {
                            let read = conn.readable().len();
                            received += read;
                            conn.consume(read);
                        }
                    }
                }
            }
            while let Some(len) = server.poll_transmit(now, &mut frame) {
                client.on_frame(&frame[..len], now);
            }
            while let Some((_, events)) = client.poll_event() {
                is_closed |= events.has(dp_tcp::Events::ENDED);
            }
            let conn = client.conn_mut(id).unwrap();
            is_connected |= conn.state() == dp_tcp::State::Established;
            if is_connected {
                conn.send(&message[..conn.send_room().min(message.len())]);
            }
            now += 100_000;
        }
        client.conn_mut(id).unwrap().abort();
        client.poll_transmit(now, &mut frame);
    });
    let counters = *client.conn(id).unwrap().counters();
    assert!(received > 10_000_000, "{received}");
    assert!(
        counters.rack_losses > 100 && counters.sack_blocks_in > 100,
        "{counters:?}"
    );
    assert!(!is_closed);
    assert_eq!(calls, 0);
}
