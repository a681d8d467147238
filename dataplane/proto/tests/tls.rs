//! The TLS client against a real server in memory: what must work, and what must be refused.

mod rig;

use dp_proto::tls::{Roots, TlsClient, TlsConfigError, TlsFault, client_config};
use proptest::prelude::*;
use rig::{NAME, Site, flush, open, serve, server_says};
use rustls::version::{TLS12, TLS13};

/// Runs a handshake that must fail and returns why; the server must have been told.
fn refused(mut client: TlsClient, site: &Site) -> TlsFault {
    let mut server = site.server(&TLS13);
    let mut to_server = Vec::new();
    client.start(&mut to_server).unwrap();
    let (_, mut to_client) = serve(&mut server, &to_server);
    to_server.clear();
    let fault = client
        .on_bytes(&mut to_client, &mut |_| (), &mut to_server)
        .unwrap_err();
    assert!(!to_server.is_empty(), "an alert is due");
    server.read_tls(&mut &to_server[..]).unwrap();
    assert!(matches!(
        server.process_new_packets(),
        Err(rustls::Error::AlertReceived(_))
    ));
    assert!(!client.is_open());
    assert_eq!(
        client.seal(b"x", &mut Vec::new()),
        Err(fault),
        "dead from then on"
    );
    fault
}

#[test]
fn both_versions_carry_data_both_ways_and_close() {
    let site = Site::new();
    for version in [&TLS13, &TLS12] {
        let (mut client, mut server) = open(&site, version);
        assert_eq!(server.protocol_version(), Some(version.version));
        assert_eq!(client.peer_pin(), Some(site.pin()));

        let order = vec![b'o'; 40_000];
        let mut cipher = Vec::new();
        client.seal(&order, &mut cipher).unwrap();
        assert_eq!(serve(&mut server, &cipher).0, order);

        let mut cipher = server_says(&mut server, b"fill");
        let mut read = Vec::new();
        let mut take = |plain: &mut [u8]| read.extend_from_slice(plain);
        client
            .on_bytes(&mut cipher, &mut take, &mut Vec::new())
            .unwrap();
        assert_eq!(read, b"fill");

        let mut bye = Vec::new();
        client.close(&mut bye).unwrap();
        server.read_tls(&mut &bye[..]).unwrap();
        assert!(server.process_new_packets().unwrap().peer_has_closed());
        assert_eq!(client.seal(b"late", &mut bye), Err(TlsFault::Closed));
        assert!(!client.is_open());
    }
}

#[test]
fn close_notify_of_the_peer_ends_reading_and_writing() {
    let site = Site::new();
    let (mut client, mut server) = open(&site, &TLS13);
    let mut cipher = server_says(&mut server, b"last");
    server.send_close_notify();
    cipher.extend(flush(&mut server));
    cipher.extend_from_slice(b"bytes after the end are not looked at");
    let mut read = Vec::new();
    let mut take = |plain: &mut [u8]| read.extend_from_slice(plain);
    client
        .on_bytes(&mut cipher, &mut take, &mut Vec::new())
        .unwrap();
    assert_eq!(read, b"last");
    assert!(client.is_peer_closed() && !client.is_open());
    assert_eq!(client.seal(b"x", &mut Vec::new()), Err(TlsFault::Closed));
}

#[test]
fn another_authority_is_refused() {
    let (site, other) = (Site::new(), Site::new());
    let config = client_config(Roots::Ca(other.ca_pem.as_bytes()), None).unwrap();
    let client = TlsClient::new(config, NAME).unwrap();
    assert_eq!(refused(client, &site), TlsFault::UntrustedIssuer);
    let config = client_config(Roots::Public, None).unwrap();
    let client = TlsClient::new(config, NAME).unwrap();
    assert_eq!(refused(client, &site), TlsFault::UntrustedIssuer);
}

#[test]
fn another_name_is_refused() {
    let site = Site::new();
    for name in ["other.test", "127.0.0.1"] {
        let config = client_config(Roots::Ca(site.ca_pem.as_bytes()), None).unwrap();
        let client = TlsClient::new(config, name).unwrap();
        assert_eq!(refused(client, &site), TlsFault::WrongName);
    }
}

#[test]
fn another_pin_is_refused_even_from_a_trusted_authority() {
    let site = Site::new();
    let config = client_config(Roots::Ca(site.ca_pem.as_bytes()), Some([7; 32])).unwrap();
    let client = TlsClient::new(config, NAME).unwrap();
    assert_eq!(refused(client, &site), TlsFault::WrongPin);
}

#[test]
fn a_pin_does_not_replace_the_authority() {
    let (site, other) = (Site::new(), Site::new());
    let config = client_config(Roots::Ca(other.ca_pem.as_bytes()), Some(site.pin())).unwrap();
    let client = TlsClient::new(config, NAME).unwrap();
    assert_eq!(refused(client, &site), TlsFault::UntrustedIssuer);
}

#[test]
fn unusable_configurations_are_refused() {
    let bad = client_config(Roots::Ca(b"no certificate here"), None);
    assert_eq!(bad.err(), Some(TlsConfigError::Pem));
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        client_config(Roots::Ca(broken), None).err(),
        Some(TlsConfigError::Pem)
    );
    let config = client_config(Roots::Public, None).unwrap();
    let client = TlsClient::new(config, "not a name!");
    assert_eq!(client.err(), Some(TlsConfigError::ServerName));
}

#[test]
fn a_tampered_record_is_refused_and_says_so_to_the_peer() {
    let site = Site::new();
    for version in [&TLS13, &TLS12] {
        let (mut client, mut server) = open(&site, version);
        let mut cipher = server_says(&mut server, b"price 1.00");
        let last = cipher.len() - 1;
        cipher[last] ^= 1;
        let mut out = Vec::new();
        let fault = client.on_bytes(&mut cipher, &mut |_| panic!("no plaintext"), &mut out);
        assert_eq!(fault, Err(TlsFault::Record));
        assert!(!out.is_empty() && !client.is_open());
    }
}

#[test]
fn sealing_before_the_handshake_is_refused() {
    let mut out = Vec::new();
    let mut client = Site::new().client();
    assert_eq!(client.seal(b"x", &mut out), Err(TlsFault::NotOpen));
    client.start(&mut out).unwrap();
    let hello = out.len();
    assert_eq!(client.seal(b"x", &mut out), Err(TlsFault::NotOpen));
    assert_eq!(out.len(), hello);
}

#[test]
fn an_order_leaves_between_two_records_of_one_burst() {
    let site = Site::new();
    let (mut client, mut server) = open(&site, &TLS13);
    let mut burst: Vec<u8> = [b"one", b"two", b"six"]
        .map(|text| server_says(&mut server, text))
        .concat();
    // A split record in front, so that the kept rest holds whole records, too.
    let mut rest = burst.split_off(10);
    let mut out = Vec::new();
    client
        .on_bytes(&mut burst, &mut |_| panic!("not whole"), &mut out)
        .unwrap();
    let (mut at, mut heard) = (0, Vec::new());
    while let Some(plain) = client.next(&mut rest, &mut at, &mut out).unwrap() {
        let plain = plain.to_vec();
        let mut order = Vec::new();
        client.seal(&plain, &mut order).unwrap();
        heard.push(serve(&mut server, &order).0);
    }
    assert_eq!((heard.concat(), at), (b"onetwosix".to_vec(), rest.len()));
}

#[test]
fn key_updates_of_the_peer_are_followed() {
    let site = Site::new();
    let (mut client, mut server) = open(&site, &TLS13);
    for round in 0..5u8 {
        server.refresh_traffic_keys().unwrap();
        let mut cipher = server_says(&mut server, &[round]);
        let (mut out, mut read) = (Vec::new(), Vec::new());
        let mut take = |plain: &mut [u8]| read.extend_from_slice(plain);
        client.on_bytes(&mut cipher, &mut take, &mut out).unwrap();
        client.seal(&[round, round], &mut out).unwrap();
        assert_eq!(
            (read, serve(&mut server, &out).0),
            (vec![round], vec![round, round])
        );
    }
}

/// Session tickets cut into many records, and an order sealed between any two of them: the rest
/// that was kept is part of the machine's state. With the rest left at the caller this panics
/// inside rustls.
#[test]
fn a_split_handshake_message_survives_a_seal() {
    let site = Site::new();
    let mut client = site.client();
    let mut server = site.server_in_fragments(&TLS13, Some(32));
    let mut to_server = Vec::new();
    client.start(&mut to_server).unwrap();
    let (_, mut flight) = serve(&mut server, &to_server);
    to_server.clear();
    client
        .on_bytes(&mut flight, &mut |_| (), &mut to_server)
        .unwrap();
    let (_, mut tickets) = serve(&mut server, &to_server);
    assert!(
        client.is_open() && tickets.len() > 4 * 32,
        "{} bytes of tickets",
        tickets.len()
    );
    tickets.extend(server_says(&mut server, b"after"));
    let (mut heard, mut read) = (Vec::new(), Vec::new());
    let mut rest = &mut tickets[..];
    while !rest.is_empty() {
        let len = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        let (record, after) = rest.split_at_mut(len);
        rest = after;
        let mut take = |plain: &mut [u8]| read.extend_from_slice(plain);
        let mut out = Vec::new();
        client.on_bytes(record, &mut take, &mut out).unwrap();
        client.seal(b"o", &mut out).unwrap();
        heard.extend(serve(&mut server, &out).0);
    }
    assert!(heard.len() > 5 && heard.iter().all(|&byte| byte == b'o'));
    assert_eq!(read, b"after");
}

/// Plays one whole session with the client's input cut at `cuts`; returns what it read.
fn session_in_pieces(site: &Site, sizes: &[usize]) -> Vec<u8> {
    let (mut client, mut server) = (site.client(), site.server(&TLS13));
    let mut to_server = Vec::new();
    client.start(&mut to_server).unwrap();
    let mut read = Vec::new();
    let mut pieces = sizes.iter().copied().cycle();
    let mut has_spoken = false;
    loop {
        let (_, mut to_client) = serve(&mut server, &to_server);
        to_server.clear();
        if !server.is_handshaking() && !has_spoken {
            has_spoken = true;
            for text in [&b"alpha"[..], &vec![b'x'; 20_000], b"omega"] {
                to_client.extend(server_says(&mut server, text));
            }
        }
        if to_client.is_empty() {
            return read;
        }
        let mut rest = &mut to_client[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at_mut(pieces.next().unwrap().min(rest.len()));
            rest = after;
            let mut take = |plain: &mut [u8]| read.extend_from_slice(plain);
            client.on_bytes(piece, &mut take, &mut to_server).unwrap();
        }
    }
}

#[test]
fn one_byte_at_a_time_is_enough() {
    let expected = [&b"alpha"[..], &vec![b'x'; 20_000], b"omega"].concat();
    assert_eq!(session_in_pieces(&Site::new(), &[1]), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_cut_gives_the_same_plaintext(
        sizes in prop::collection::vec(1usize..9_000, 1..6),
    ) {
        let expected = [&b"alpha"[..], &vec![b'x'; 20_000], b"omega"].concat();
        prop_assert_eq!(session_in_pieces(&Site::new(), &sizes), expected);
    }

    #[test]
    fn hostile_bytes_never_panic(
        flips in prop::collection::vec((0usize..4_000, any::<u8>()), 0..5),
        junk: Vec<u8>,
        size in 1usize..2_000,
    ) {
        let site = Site::new();
        let (mut client, mut server) = (site.client(), site.server(&TLS13));
        let mut out = Vec::new();
        client.start(&mut out).unwrap();
        let (_, mut flight) = serve(&mut server, &out);
        for (at, value) in flips {
            let len = flight.len();
            flight[at % len] ^= value;
        }
        flight.extend(junk);
        for piece in flight.chunks_mut(size) {
            let _ = client.on_bytes(piece, &mut |_| (), &mut out);
            let _ = client.seal(b"order", &mut out);
        }
    }
}
