//! libzmq's `remote_thr`: connects and sends. `remote_thr <connect-to> <size> <count>`

mod perf;

use bytes::Bytes;
use posthouse_zmtp::{Options, Socket, SocketType};

fn main() -> perf::Outcome {
    let [endpoint, size, count] =
        perf::arguments("remote_thr <connect-to> <message-size> <message-count>")?;
    let (size, count): (usize, u64) = (size.parse()?, count.parse()?);
    perf::block_on(async {
        let socket = Socket::new(SocketType::Push, Options::default());
        socket.connect(&endpoint).await?;
        for _ in 0..count {
            // A buffer for each message, as a program that has something to say would have.
            socket.send(Bytes::from(vec![0; size])).await?;
        }
        socket.close().await;
        Ok(())
    })
}
