//! libzmq's `local_thr`: binds, receives, and says how fast. `local_thr <bind-to> <size> <count>`

mod perf;

use std::time::Instant;

use posthouse_zmtp::{Options, Socket, SocketType};

fn main() -> perf::Outcome {
    let [endpoint, size, count] =
        perf::arguments("local_thr <bind-to> <message-size> <message-count>")?;
    let (size, count): (usize, u64) = (size.parse()?, count.parse()?);
    perf::block_on(async {
        let socket = Socket::new(SocketType::Pull, Options::default());
        socket.bind(&endpoint).await?;
        socket.recv().await?;
        let start = Instant::now();
        for _ in 1..count {
            if socket.recv().await?.byte_len() != size {
                return Err("message of incorrect size received".into());
            }
        }
        let elapsed = start.elapsed();
        let rate = count as f64 / elapsed.as_secs_f64();
        println!("message size: {size} [B]");
        println!("message count: {count}");
        println!("mean throughput: {rate:.0} [msg/s]");
        println!("mean throughput: {:.3} [Mb/s]", rate * size as f64 * 8.0 / 1e6);
        Ok(())
    })
}
