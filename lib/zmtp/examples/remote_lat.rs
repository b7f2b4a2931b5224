//! libzmq's `remote_lat`: asks and waits for the answer. `remote_lat <connect-to> <size> <roundtrips>`

mod perf;

use std::time::Instant;

use posthouse_zmtp::{Message, Options, Socket, SocketType};

fn main() -> perf::Outcome {
    let [endpoint, size, count] =
        perf::arguments("remote_lat <connect-to> <message-size> <roundtrip-count>")?;
    let (size, count): (usize, u64) = (size.parse()?, count.parse()?);
    perf::block_on(async {
        let socket = Socket::new(SocketType::Req, Options::default());
        socket.connect(&endpoint).await?;
        let mut message = Message::single(vec![0; size]);
        let start = Instant::now();
        for _ in 0..count {
            socket.send(message).await?;
            message = socket.recv().await?;
            if message.byte_len() != size {
                return Err("message of incorrect size received".into());
            }
        }
        let latency = start.elapsed().as_secs_f64() * 1e6 / (count * 2) as f64;
        println!("message size: {size} [B]");
        println!("roundtrip count: {count}");
        println!("average latency: {latency:.3} [us]");
        Ok(())
    })
}
