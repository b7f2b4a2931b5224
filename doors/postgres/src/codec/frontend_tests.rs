//! Claims about the decoding of a client's messages.

use super::*;

const MAX: usize = 1 << 20;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Option<Frontend>, DecodeError> {
    decode(&mut BytesMut::from(bytes), MAX)
}

/// One well-formed message of every type.
fn samples() -> Vec<(Vec<u8>, Frontend)> {
    let bind = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\x01\0\0";
    let bound = Bind::new(
        Some("p".into()),
        Some("s".into()),
        vec![1],
        vec![Some(Bytes::from_static(&[0, 0, 0, 7])), None],
        vec![0],
    );
    vec![
        (message(b'Q', b"SELECT 1\0"), Frontend::Query("SELECT 1".into())),
        (
            message(b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x17"),
            Frontend::Parse {
                name: "s".into(),
                sql: "SELECT $1".into(),
                parameter_types: vec![23],
            },
        ),
        (message(b'B', bind), Frontend::Bind(bound)),
        (message(b'D', b"Ss\0"), Frontend::Describe(Target::Statement("s".into()))),
        (message(b'C', b"Pp\0"), Frontend::Close(Target::Portal("p".into()))),
        (message(b'E', b"p\0\0\0\0\x0a"), Frontend::Execute { portal: "p".into(), rows_max: 10 }),
        (message(b'H', b""), Frontend::Flush),
        (message(b'S', b""), Frontend::Sync),
        (message(b'd', b"1\t2\n"), Frontend::CopyData(Bytes::from_static(b"1\t2\n"))),
        (message(b'c', b""), Frontend::CopyDone),
        (message(b'f', b"no\0"), Frontend::CopyFail("no".into())),
        (
            message(b'p', b"secret\0"),
            Frontend::Answer(Answer::new(Bytes::from_static(b"secret\0"))),
        ),
        (message(b'X', b""), Frontend::Terminate),
    ]
}

#[test]
fn every_message_decodes_and_leaves_what_follows() {
    for (bytes, expected) in samples() {
        let mut input = BytesMut::from(&bytes[..]);
        input.extend_from_slice(b"Qrest");
        assert_eq!(decode(&mut input, MAX), Ok(Some(expected)));
        assert_eq!(&input[..], b"Qrest");
    }
}

#[test]
fn every_prefix_needs_more() {
    for (bytes, _) in samples() {
        for len in 0..bytes.len() {
            assert_eq!(decoded(&bytes[..len]), Ok(None), "{len} of {bytes:?}");
        }
    }
}

#[test]
fn every_body_cut_short_is_refused() {
    for (bytes, _) in samples() {
        let (kind, body) = (bytes[0], &bytes[5..]);
        // These two carry raw bytes to the end of the message, however many there are.
        if matches!(kind, b'd' | b'p') {
            continue;
        }
        for len in 0..body.len() {
            let cut = decoded(&message(kind, &body[..len]));
            assert!(cut.is_err(), "{len} of {bytes:?} gave {cut:?}");
        }
    }
}

#[test]
fn bytes_after_the_last_field_are_refused() {
    for (bytes, _) in samples() {
        if matches!(bytes[0], b'd' | b'p') {
            continue;
        }
        let mut body = bytes[5..].to_vec();
        body.push(0);
        let longer = decoded(&message(bytes[0], &body));
        assert_eq!(longer, Err(DecodeError::LeftOver { count: 1 }), "{bytes:?}");
    }
}

#[test]
fn a_length_above_the_limit_is_refused_before_its_body_comes() {
    assert_eq!(
        decoded(b"Q\x7f\xff\xff\xff"),
        Err(DecodeError::TooLarge { len: 0x7fff_ffff, max: MAX })
    );
    assert!(matches!(decoded(b"S\0\x01\0\0"), Err(DecodeError::TooLarge { .. })));
    assert_eq!(decoded(b"Q\xff\xff\xff\xff"), Err(DecodeError::Length { len: -1 }));
    assert_eq!(decoded(b"Q\0\0\0\x03"), Err(DecodeError::Length { len: 3 }));
}

#[test]
fn an_unknown_type_is_refused_at_its_first_byte() {
    assert_eq!(decoded(b"!"), Err(DecodeError::Kind { kind: b'!' }));
}

#[test]
fn a_count_that_cannot_fit_is_refused() {
    assert!(decoded(&message(b'P', b"s\0x\0\xff\xff")).is_err());
    assert!(decoded(&message(b'B', b"p\0s\0\0\0\xff\xff")).is_err());
    assert!(decoded(&message(b'B', b"p\0s\0\0\0\0\x01\x7f\xff\xff\xff\0\0")).is_err());
    assert!(decoded(&message(b'B', b"p\0s\0\0\0\0\x01\xff\xff\xff\xfe\0\0")).is_err());
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    assert_eq!(
        decoded(&message(b'Q', b"SELECT '\xff'\0")),
        Err(DecodeError::NotText { what: "query" })
    );
}
