//! Whether the time of a refusal tells if a user exists.
//!
//! `cargo run --release -p posthouse-broker --example login_timing -- [TRIES]` tries to log in with a
//! wrong password, as a user that exists and as ones that do not, taking turns at random: by a
//! password sent as it is, and by both messages of SCRAM. For each it prints the median times, how
//! far they lie apart, and the interval in which the true difference lies with 99 % confidence (by
//! resampling). An interval that holds 0 means: these tries do not tell them apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthouse_access::scram::ChannelBinding;
use posthouse_access::{AttemptsConfig, Mechanism, UserName};
use posthouse_broker::{
    AuthenticationConfig, Broker, BrokerConfig, Credentials, Knock, UserChange,
};
use posthouse_log::{MemoryConfig, MemoryEngine};
use posthouse_types::{Principal, SystemClock};

const KNOCK: Knock =
    Knock { door: "example", address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

/// Resamples for the interval.
const RESAMPLES: usize = 2000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let tries: usize = std::env::args().nth(1).map_or(Ok(2000), |count| count.parse())?;
    anyhow::ensure!(tries >= 100, "fewer than 100 tries tell nothing");
    let broker = start().await?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    println!("{tries} tries of each; times in microseconds");
    println!("| | user exists | user does not | difference | 99 % interval |");
    println!("| --- | --- | --- | --- | --- |");
    let mut password = Samples::default();
    let (mut first, mut last) = (Samples::default(), Samples::default());
    for number in 0..2 * tries {
        let (exists, user) = random.turn(number);
        let began = Instant::now();
        let credentials = Credentials::Password { user: &user, password: b"wrong" };
        anyhow::ensure!(broker.log_in(KNOCK, credentials).await.is_err(), "it is the wrong one");
        password.add(exists, began.elapsed());
    }
    password.report("password, as it is", &mut random);
    for number in 0..2 * tries {
        let (exists, user) = random.turn(number);
        let (asked, answered) = scram(&broker, &user).await?;
        first.add(exists, asked);
        last.add(exists, answered);
    }
    first.report("SCRAM-SHA-256, first message", &mut random);
    last.report("SCRAM-SHA-256, last message", &mut random);
    broker.shutdown().await?;
    Ok(())
}

/// A node with one user, `known`, on which failures cost nothing: their price is the same for all.
async fn start() -> anyhow::Result<Arc<Broker>> {
    let attempts =
        AttemptsConfig { free: u32::MAX, address_free: u32::MAX, ..AttemptsConfig::default() };
    let authentication =
        AuthenticationConfig { required: true, attempts, ..AuthenticationConfig::default() };
    let clock = Arc::new(SystemClock);
    let engine = MemoryEngine::new(MemoryConfig::default(), clock.clone());
    let config = BrokerConfig { authentication, ..BrokerConfig::default() };
    let broker = Broker::open(engine, config, clock).await?;
    let changes = vec![UserChange::Password(b"right".to_vec())];
    broker.create_user(&Principal::node(), UserName::new("user-000000")?, changes).await?;
    Ok(broker)
}

/// How long both messages of a wrong login take.
async fn scram(broker: &Broker, user: &str) -> anyhow::Result<(Duration, Duration)> {
    let mut login = broker.scram(KNOCK, Mechanism::ScramSha256, ChannelBinding::Unavailable);
    let message = format!("n,,n={user},r=fyko+d2lbbFgONRv9qkxdawL");
    let began = Instant::now();
    let challenge = login.first(message.as_bytes(), None).await?;
    let asked = began.elapsed();
    let (nonce, _) = challenge.split_once(',').unwrap_or_default();
    let answer = format!("c=biws,{nonce},p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let began = Instant::now();
    let refused = login.last(answer.as_bytes());
    let answered = began.elapsed();
    anyhow::ensure!(refused.is_err(), "it is no proof");
    Ok((asked, answered))
}

/// Times in microseconds.
#[derive(Default)]
struct Samples {
    known: Vec<f64>,
    unknown: Vec<f64>,
}

impl Samples {
    fn add(&mut self, exists: bool, time: Duration) {
        let times = if exists { &mut self.known } else { &mut self.unknown };
        times.push(time.as_secs_f64() * 1e6);
    }

    fn report(&self, what: &str, random: &mut Random) {
        let (known, unknown) = (median(self.known.clone()), median(self.unknown.clone()));
        let mut differences: Vec<f64> = (0..RESAMPLES)
            .map(|_| median(random.resample(&self.known)) - median(random.resample(&self.unknown)))
            .collect();
        differences.sort_by(f64::total_cmp);
        let (low, high) =
            (differences[RESAMPLES / 200], differences[RESAMPLES - 1 - RESAMPLES / 200]);
        let difference = known - unknown;
        println!(
            "| {what} | {known:.2} | {unknown:.2} | {difference:+.2} | {low:+.2} … {high:+.2} |"
        );
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    let middle = times.len() / 2;
    *times.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// xorshift64: good enough to take turns by.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Whose turn it is: the user that exists, or one that does not, whose name is as long.
    fn turn(&mut self, number: usize) -> (bool, String) {
        let exists = self.next().is_multiple_of(2);
        let number = if exists { 0 } else { number + 1 };
        (exists, format!("user-{number:06}"))
    }

    fn resample(&mut self, times: &[f64]) -> Vec<f64> {
        let count = u64::try_from(times.len()).unwrap_or(u64::MAX);
        let mut index = || usize::try_from(self.next() % count).unwrap_or(0);
        times.iter().map(|_| times[index()]).collect()
    }
}
