use proptest::prelude::*;

use super::*;
use crate::codec::response::ResponseWriter;

const LIMITS: SessionLimits = SessionLimits {
    request_bytes_max: 1 << 20,
    connection_bytes_max: 4096,
    unsent_bytes_max: 4096,
    requests_in_flight_max: 8,
};

/// A frame with a header of version 1 and `padding` bytes of body.
fn frame(api: Api, correlation_id: i32, padding: usize) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&api.key().to_be_bytes());
    body.extend_from_slice(&api.versions().start().to_be_bytes());
    body.extend_from_slice(&correlation_id.to_be_bytes());
    body.extend_from_slice(&[0xff, 0xff]);
    body.resize(body.len() + padding, 0);
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

fn response(correlation_id: i32) -> Response {
    ResponseWriter::new(correlation_id, 0, 0).finish()
}

/// The correlation ids in sent bytes, each of which is a response without a body.
fn correlation_ids(mut sent: &[u8]) -> Vec<i32> {
    let mut ids = Vec::new();
    while let Some((response, rest)) = sent.split_first_chunk::<8>() {
        ids.push(i32::from_be_bytes(*response[4..].first_chunk().unwrap()));
        sent = rest;
    }
    ids
}

fn begin(session: &mut Session) -> Option<(RequestId, i32)> {
    let (id, incoming) = session.poll_request().unwrap()?;
    match incoming {
        Incoming::Request(request) => Some((id, request.correlation_id)),
        Incoming::UnsupportedApiVersions { correlation_id } => Some((id, correlation_id)),
        Incoming::Token(_) => None,
    }
}

#[test]
fn produce_requests_overlap_once_accepted_and_are_answered_in_order() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    session.feed(&[frame(Api::Produce, 1, 0), frame(Api::Produce, 2, 0)].concat());
    let (first, _) = begin(&mut session).unwrap();
    assert_eq!(begin(&mut session), None, "the first has no offsets yet");
    session.on_accepted(first);
    let (second, _) = begin(&mut session).unwrap();
    session.on_answer(second, Some(response(2)));
    assert!(session.output().is_empty(), "the second waits for its turn");
    session.on_answer(first, Some(response(1)));
    assert_eq!(correlation_ids(&session.sent()), [1, 2]);
}

#[test]
fn bytes_are_wanted_only_where_they_have_room() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    session.feed(&frame(Api::Metadata, 1, 0));
    // It runs for long, and its client sends on: a read into nothing would look like the end.
    begin(&mut session).unwrap();
    while session.wants_bytes() {
        let room = session.spare().iter().map(|part| part.len()).sum();
        assert_ne!(room, 0);
        session.on_bytes(room);
    }
}

#[test]
fn what_arrived_whole_before_the_end_is_served_however_late_it_begins() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    let (first, second) = (frame(Api::Metadata, 1, 0), frame(Api::Metadata, 2, 0));
    session.feed(&[&first[..], &second, &first[..6]].concat());
    session.on_end();
    for correlation_id in [1, 2] {
        assert!(!session.is_finished(), "{correlation_id} has not begun");
        let (id, _) = begin(&mut session).unwrap();
        session.on_answer(id, Some(response(correlation_id)));
        assert_eq!(correlation_ids(&session.sent()), [correlation_id]);
    }
    assert!(session.is_finished(), "what is left is half a request");
}

#[test]
fn a_request_without_a_response_keeps_its_place() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    session.feed(&[frame(Api::Produce, 1, 0), frame(Api::Produce, 2, 0)].concat());
    let (first, _) = begin(&mut session).unwrap();
    session.on_accepted(first);
    let (second, _) = begin(&mut session).unwrap();
    session.on_answer(second, Some(response(2)));
    session.on_answer(first, None);
    assert_eq!(correlation_ids(&session.sent()), [2]);
}

#[test]
fn other_requests_wait_for_everything_before_them_and_hold_up_what_follows() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    let input =
        [frame(Api::Produce, 1, 0), frame(Api::Metadata, 2, 0), frame(Api::Produce, 3, 0)].concat();
    session.feed(&input);
    let (produce, _) = begin(&mut session).unwrap();
    session.on_accepted(produce);
    assert_eq!(begin(&mut session), None, "metadata must see what was produced");
    session.on_answer(produce, Some(response(1)));
    let (metadata, _) = begin(&mut session).unwrap();
    assert_eq!(begin(&mut session), None);
    session.on_answer(metadata, Some(response(2)));
    let (last, _) = begin(&mut session).unwrap();
    session.on_answer(last, Some(response(3)));
    assert_eq!(correlation_ids(&session.sent()), [1, 2, 3]);
}

#[test]
fn reading_stops_at_the_limit_of_requests_in_flight() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    let input: Vec<u8> = (0..20).flat_map(|id| frame(Api::Produce, id, 0)).collect();
    session.feed(&input);
    let mut begun = Vec::new();
    while let Some((id, _)) = begin(&mut session) {
        session.on_accepted(id);
        begun.push(id);
    }
    assert_eq!(begun.len(), LIMITS.requests_in_flight_max);
    assert!(!session.wants_bytes());
    session.on_answer(begun[0], None);
    assert!(begin(&mut session).is_some());
}

#[test]
fn reading_stops_at_the_limit_of_bytes_but_one_request_always_fits() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    let large = frame(Api::Produce, 1, 10_000);
    assert_eq!(session.feed(&large), large.len(), "a request larger than the limit is read");
    let (id, _) = begin(&mut session).unwrap();
    session.on_accepted(id);
    assert!(!session.wants_bytes());
    session.on_answer(id, None);
    assert!(session.wants_bytes());
}

#[test]
fn a_large_request_waits_for_memory_and_gives_it_back_with_its_answer() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    let large = frame(Api::Produce, 1, 100_000);
    let size = large.len() - 4;
    let fed = session.feed(&large);
    assert!(fed < large.len());
    assert_eq!(session.poll_request().unwrap().map(drop), None);
    assert_eq!((session.awaits_grant(), session.wants_bytes()), (Some(size), false));
    session.on_grant();
    assert_eq!((session.awaits_grant(), session.granted_bytes()), (None, size));
    assert!(session.is_receiving_large());
    session.feed(&large[fed..]);
    assert!(!session.is_receiving_large(), "it is here, whenever it begins");
    let (id, _) = begin(&mut session).unwrap();
    assert_eq!(session.granted_bytes(), size);
    session.on_answer(id, None);
    assert_eq!(session.granted_bytes(), 0);
}

#[test]
fn a_client_that_does_not_read_begins_nothing_more() {
    let mut session = Session::new(SessionLimits { unsent_bytes_max: 8, ..LIMITS }, Entrance::Open);
    session.feed(&[frame(Api::Metadata, 1, 0), frame(Api::Metadata, 2, 0)].concat());
    let (first, _) = begin(&mut session).unwrap();
    session.on_answer(first, Some(response(1)));
    assert_eq!(begin(&mut session), None);
    assert!(!session.wants_bytes());
    session.sent();
    assert!(begin(&mut session).is_some());
}

#[test]
fn what_arrived_whole_before_the_end_is_still_answered() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    session.feed(&frame(Api::Metadata, 1, 0));
    session.feed(&frame(Api::Metadata, 2, 0)[..7]);
    session.on_end();
    assert!(!session.wants_bytes());
    let (first, _) = begin(&mut session).unwrap();
    session.on_answer(first, Some(response(1)));
    assert_eq!(begin(&mut session), None);
    assert!(!session.is_finished());
    session.sent();
    assert!(session.is_finished());
}

#[test]
fn an_unknown_request_ends_the_session() {
    let mut session = Session::new(LIMITS, Entrance::Open);
    session.feed(b"\0\0\0\x0a\x03\xe8\0\0\0\0\0\x01\xff\xff");
    let refused = session.poll_request().unwrap_err();
    assert_eq!(refused.to_string(), "request with key 1000, version 0 is not served");
}

proptest! {
    /// Whatever order answers come in and however bytes are cut, responses leave in order.
    #[test]
    fn responses_leave_in_the_order_of_the_requests(
        produces in prop::collection::vec(any::<bool>(), 1..30),
        cuts in prop::collection::vec(1usize..60, 1..200),
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut session = Session::new(LIMITS, Entrance::Open);
        let input: Vec<u8> = produces.iter().enumerate().flat_map(|(index, &produce)| {
            frame(if produce { Api::Produce } else { Api::Metadata }, i32::try_from(index).unwrap(), index)
        }).collect();
        let mut input = &input[..];
        let (mut cuts, mut order) = (cuts.iter().cycle(), order.iter().cycle());
        let (mut open, mut seen) = (Vec::new(), Vec::new());
        while seen.len() < produces.len() {
            let cut = (*cuts.next().unwrap()).min(input.len());
            let fed = session.feed(&input[..cut]);
            input = &input[fed..];
            while let Some((id, correlation_id)) = begin(&mut session) {
                if produces[usize::try_from(correlation_id).unwrap()] {
                    session.on_accepted(id);
                }
                open.push((id, correlation_id));
            }
            if !open.is_empty() {
                let (id, correlation_id) = open.swap_remove(order.next().unwrap().index(open.len()));
                session.on_answer(id, Some(response(correlation_id)));
            }
            seen.extend(correlation_ids(&session.sent()));
        }
        let expected: Vec<i32> = (0..i32::try_from(produces.len()).unwrap()).collect();
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn before_login_frames_are_read_one_at_a_time_and_none_is_large() {
    let mut session = Session::new(LIMITS, Entrance::Closed);
    let bytes = [frame(Api::ApiVersions, 1, 0), frame(Api::SaslHandshake, 2, 0)].concat();
    session.feed(&[&bytes[..], b"\0\0\0\x02hi"].concat());
    let (first, _) = begin(&mut session).unwrap();
    assert!(!session.wants_bytes(), "nothing is read while a login is under way");
    assert_eq!(begin(&mut session), None);
    session.on_answer(first, Some(response(1)));
    let (second, id) = begin(&mut session).unwrap();
    assert_eq!(id, 2);
    session.set_entrance(Entrance::Tokens);
    session.on_answer(second, Some(response(2)));
    let (_, incoming) = session.poll_request().unwrap().unwrap();
    assert!(matches!(incoming, Incoming::Token(token) if token[..] == *b"hi"));

    let mut session = Session::new(LIMITS, Entrance::Closed);
    let large = u32::try_from(LOGIN_FRAME_BYTES_MAX + 1).unwrap();
    session.feed(&large.to_be_bytes());
    assert!(session.poll_request().is_err());
    let mut session = Session::new(LIMITS, Entrance::Closed);
    session.set_entrance(Entrance::Open);
    session.feed(&large.to_be_bytes());
    assert!(session.poll_request().is_ok());
}
