use super::*;
use proptest::prelude::*;

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn with_options(bytes: &[u8]) -> Result<Options, WireError> {
    let mut segment = vec![0; TCP_LEN];
    segment.extend(bytes);
    segment[12] = ((segment.len() / 4) << 4) as u8;
    TcpHeader::parse(&segment).map(|(header, _)| header.options)
}

#[test]
fn options_of_a_linux_syn() {
    // mss 1460, sackOK, TS val 0x01020304 ecr 0, nop, wscale 7: the order Linux writes them in.
    let options = with_options(&[
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7,
    ])
    .unwrap();
    assert_eq!(options.mss, Some(1_460));
    assert_eq!(options.window_scale, Some(7));
    assert!(options.is_sack_permitted);
    assert_eq!(options.timestamps, Some((0x0102_0304, 0)));
}

#[test]
fn a_window_scale_above_14_counts_as_14() {
    assert_eq!(
        with_options(&[3, 3, 200, 0]).unwrap().window_scale,
        Some(14)
    );
}

#[test]
fn unknown_options_are_skipped_and_an_end_ends() {
    let options = with_options(&[254, 6, 9, 9, 9, 9, 2, 4, 1, 0, 0, 2]).unwrap();
    assert_eq!(options.mss, Some(256));
}

#[test]
fn lengths_that_lie_are_malformed() {
    for bytes in [
        [2, 3, 0, 0],
        [3, 0, 0, 0],
        [8, 1, 0, 0],
        [5, 200, 0, 0],
        [254, 1, 0, 0],
        [1, 1, 1, 4],
        [4, 4, 0, 0],
    ] {
        assert_eq!(with_options(&bytes), Err(WireError::Malformed), "{bytes:?}");
    }
}

#[test]
fn half_made_checksums_are_taken_only_when_asked() {
    let header = TcpHeader {
        flags: Flags::ACK,
        ..TcpHeader::default()
    };
    let mut segment = vec![0; 24];
    header.write(&mut segment).unwrap();
    segment[20..].copy_from_slice(b"data");
    let mut partial = segment.clone();
    let pseudo = Sum::pseudo(A, B, 6, 24).fold();
    partial[16..18].copy_from_slice(&pseudo.to_be_bytes());
    seal(&mut segment, A, B);
    assert_eq!(verify(&segment, A, B, Checksums::Verify), Ok(()));
    let wrong = Err(WireError::Checksum);
    assert_eq!(verify(&partial, A, B, Checksums::Verify), wrong);
    assert_eq!(verify(&partial, A, B, Checksums::AcceptPartial), Ok(()));
    partial[16] ^= 1;
    assert_eq!(verify(&partial, A, B, Checksums::AcceptPartial), wrong);
    assert_eq!(verify(&partial, A, B, Checksums::Ignore), Ok(()));
    for bit in 0..segment.len() * 8 {
        segment[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&segment, A, B, Checksums::Verify), wrong);
        segment[bit / 8] ^= 1 << (bit % 8);
    }
}

fn header() -> impl Strategy<Value = TcpHeader> {
    let fixed = (any::<[u16; 3]>(), any::<[u32; 2]>(), any::<u8>());
    let syn = (
        prop::option::of(any::<u16>()),
        prop::option::of(0u8..15),
        any::<bool>(),
    );
    let stamps = prop::option::of(any::<(u32, u32)>());
    let blocks = prop::collection::vec(any::<(u32, u32)>(), 0..4);
    (fixed, syn, stamps, blocks, any::<bool>()).prop_map(
        |((ports, numbers, flags), (mss, shift, sack), timestamps, blocks, is_syn)| {
            let mut options = Options {
                timestamps,
                ..Options::default()
            };
            if is_syn {
                (options.mss, options.window_scale) = (mss, shift);
                options.is_sack_permitted = sack;
            } else {
                for (start, end) in blocks {
                    assert!(options.push_sack((Seq(start), Seq(end))));
                }
            }
            TcpHeader {
                source_port: ports[0],
                target_port: ports[1],
                seq: Seq(numbers[0]),
                ack: Seq(numbers[1]),
                flags: Flags(flags),
                window: ports[2],
                options,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(header in header()) {
        let mut bytes = [0xee; TCP_LEN_MAX];
        let len = header.write(&mut bytes).unwrap();
        prop_assert_eq!(TcpHeader::parse(&bytes[..len]), Ok((header, len)));
        for short in 0..len {
            prop_assert_eq!(header.write(&mut bytes[..short]), None);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok((_, len)) = TcpHeader::parse(&bytes) {
            prop_assert!(len <= bytes.len());
        }
    }
}
