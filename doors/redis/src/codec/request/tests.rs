//! Requests: read whole, read in pieces, and refused.

use proptest::prelude::*;

use super::*;

const LIMITS: RequestLimits =
    RequestLimits { argument_bytes_max: 512 << 20, request_bytes_max: 1 << 30 };

fn read(input: &[u8]) -> Result<Vec<Vec<Bytes>>, ProtocolError> {
    let mut requests = Requests::new(LIMITS);
    requests.feed(input);
    let mut all = Vec::new();
    while let Some(request) = requests.next()? {
        all.push(request);
    }
    Ok(all)
}

fn refused(input: &str, text: &str) {
    assert_eq!(read(input.as_bytes()).unwrap_err().to_string(), format!("Protocol error: {text}"));
}

fn encode(request: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", request.len()).into_bytes();
    for argument in request {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[test]
fn pipelined_requests_of_both_kinds_are_read() {
    let all = read(b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\n");
    let expected: Vec<Vec<Bytes>> =
        vec![vec!["ECHO".into(), "hi".into()], vec!["PING".into()], vec![Bytes::new()]];
    assert_eq!(all.unwrap(), expected);
}

#[test]
fn what_is_not_the_protocol_is_refused_in_redis_words() {
    refused("*3000000000\r\n", "invalid multibulk length");
    refused("*x\r\n", "invalid multibulk length");
    refused("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'");
    refused("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "invalid bulk length");
    refused("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "invalid bulk length");
    refused("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "invalid bulk length");
    refused("set \"\"\"a\"\"\" b\r\n", "unbalanced quotes in request");
    refused(&"x".repeat(LINE_BYTES_MAX + 1), "too big inline request");
    refused(&format!("*{}", "1".repeat(LINE_BYTES_MAX)), "too big mbulk count string");
    refused(&format!("*1\r\n${}", "1".repeat(LINE_BYTES_MAX)), "too big bulk count string");
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut requests = Requests::new(LIMITS);
    requests.feed(b"*2000000000\r\n$500000000\r\nab");
    assert_eq!(requests.next(), Ok(None));
    assert!(requests.spare().capacity() <= 2 * READ_BYTES);
    assert!(requests.arguments.capacity() <= 64);
}

#[test]
fn a_request_over_the_buffer_limit_is_refused() {
    let mut requests =
        Requests::new(RequestLimits { argument_bytes_max: 100, request_bytes_max: 100 });
    requests.feed(b"*2\r\n$90\r\n");
    requests.feed(&[b'x'; 90]);
    requests.feed(b"\r\n$90\r\n");
    assert_eq!(requests.next(), Err(ProtocolError::RequestTooLarge));
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_arrives(
        all in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 1..5),
        piece in 1_usize..9,
    ) {
        let bytes: Vec<u8> = all.iter().flat_map(|request| encode(request)).collect();
        let expected: Vec<Vec<Bytes>> = all
            .iter()
            .map(|request| request.iter().map(|argument| Bytes::from(argument.clone())).collect())
            .collect();
        prop_assert_eq!(read(&bytes).unwrap(), expected.clone());
        let mut requests = Requests::new(LIMITS);
        let mut pieces = Vec::new();
        for piece in bytes.chunks(piece) {
            requests.feed(piece);
            while let Some(request) = requests.next().unwrap() {
                pieces.push(request);
            }
        }
        prop_assert_eq!(pieces, expected);
        prop_assert_eq!(requests.buffered(), 0);
    }

    #[test]
    fn a_request_cut_short_is_never_given_out(
        request in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5),
    ) {
        let bytes = encode(&request);
        for len in 0..bytes.len() {
            prop_assert_eq!(read(&bytes[..len]).unwrap(), Vec::<Vec<Bytes>>::new());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }
}
