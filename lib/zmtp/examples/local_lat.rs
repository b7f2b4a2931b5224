//! libzmq's `local_lat`: binds and sends back what comes. `local_lat <bind-to> <size> <roundtrips>`

mod perf;

use posthouse_zmtp::{Options, Socket, SocketType};

fn main() -> perf::Outcome {
    let [endpoint, size, count] =
        perf::arguments("local_lat <bind-to> <message-size> <roundtrip-count>")?;
    let (size, count): (usize, u64) = (size.parse()?, count.parse()?);
    perf::block_on(async {
        let socket = Socket::new(SocketType::Rep, Options::default());
        socket.bind(&endpoint).await?;
        for _ in 0..count {
            let message = socket.recv().await?;
            if message.byte_len() != size {
                return Err("message of incorrect size received".into());
            }
            socket.send(message).await?;
        }
        socket.close().await;
        Ok(())
    })
}
