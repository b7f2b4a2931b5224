//! What a group commit costs in each candidate layout of the local log.
//!
//! `cargo run --release -p posthouse-log --example layout -- DIR` prints a Markdown table. Clients in a
//! closed loop each have one 1 KiB append outstanding, spread over the partitions; a round writes what
//! is outstanding and makes it durable. The figures behind docs/design/0001-log-layout.md.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, syncfs};

const APPEND_BYTES: usize = 1024;
const RUN: Duration = Duration::from_secs(2);
const PREALLOCATED_BYTES: u64 = 1 << 20;

#[derive(Clone, Copy)]
enum Layout {
    /// One file for everything: the records would have to be indexed or copied out of it.
    Journal,
    /// A file per partition, each dirty one forced in turn.
    Files,
    /// A file per partition, the dirty ones forced by a pool of threads.
    FilesPool(usize),
    /// A file per partition, one `syncfs` for all of them.
    FilesSyncfs,
    /// A file per partition, its blocks reserved ahead, each dirty one forced in turn.
    Preallocated,
    /// A file per partition, its blocks reserved ahead, forced by a pool of threads.
    PreallocatedPool(usize),
    /// A file per partition, filled with zeros ahead, so that a commit changes no metadata at all.
    Zeroed,
}

impl Layout {
    fn name(self) -> String {
        match self {
            Layout::Journal => "shared journal, one fdatasync".into(),
            Layout::Files => "file per partition, fdatasync each".into(),
            Layout::FilesPool(threads) => format!("file per partition, {threads} sync threads"),
            Layout::FilesSyncfs => "file per partition, one syncfs".into(),
            Layout::Preallocated => "preallocated files, fdatasync each".into(),
            Layout::PreallocatedPool(threads) => {
                format!("preallocated files, {threads} sync threads")
            }
            Layout::Zeroed => "zero-filled files, fdatasync each".into(),
        }
    }

    fn files(self, partitions: usize) -> usize {
        if matches!(self, Layout::Journal) { 1 } else { partitions }
    }
}

struct Store {
    files: Vec<Arc<File>>,
    ends: Vec<u64>,
    wraps: bool,
}

impl Store {
    fn open(layout: Layout, directory: &Path, partitions: usize) -> io::Result<Store> {
        let count = layout.files(partitions);
        let mut files = Vec::with_capacity(count);
        for index in 0..count {
            let path: PathBuf = directory.join(format!("{index}.log"));
            let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
            prepare(layout, &file)?;
            files.push(Arc::new(file));
        }
        File::open(directory)?.sync_all()?;
        let wraps =
            matches!(layout, Layout::Preallocated | Layout::PreallocatedPool(_) | Layout::Zeroed);
        Ok(Store { ends: vec![0; count], files, wraps })
    }

    fn append(&mut self, partition: usize, bytes: &[u8]) -> io::Result<usize> {
        let index = partition % self.files.len();
        self.files[index].write_all_at(bytes, self.ends[index])?;
        self.ends[index] += bytes.len() as u64;
        if self.wraps && self.ends[index] + bytes.len() as u64 > PREALLOCATED_BYTES {
            self.ends[index] = 0;
        }
        Ok(index)
    }
}

fn prepare(layout: Layout, file: &File) -> io::Result<()> {
    match layout {
        Layout::Preallocated | Layout::PreallocatedPool(_) => {
            fallocate(file, FallocateFlags::empty(), 0, PREALLOCATED_BYTES)?;
        }
        Layout::Zeroed => {
            let zeros = vec![0; 1 << 20];
            for block in 0..PREALLOCATED_BYTES >> 20 {
                file.write_all_at(&zeros, block << 20)?;
            }
        }
        _ => {}
    }
    file.sync_all()
}

/// Threads that force a list of files together, and are reused from round to round.
struct Pool {
    work: Arc<Mutex<Vec<Arc<File>>>>,
    start: Arc<Barrier>,
    end: Arc<Barrier>,
}

impl Pool {
    fn new(threads: usize) -> Pool {
        let pool = Pool {
            work: Arc::default(),
            start: Arc::new(Barrier::new(threads + 1)),
            end: Arc::new(Barrier::new(threads + 1)),
        };
        for _ in 0..threads {
            let (work, start, end) =
                (Arc::clone(&pool.work), Arc::clone(&pool.start), Arc::clone(&pool.end));
            thread::spawn(move || {
                loop {
                    start.wait();
                    while let Some(file) = { work.lock().expect("no thread panics").pop() } {
                        file.sync_data().expect("the measurement's disk works");
                    }
                    end.wait();
                }
            });
        }
        pool
    }

    fn sync(&self, files: Vec<Arc<File>>) {
        *self.work.lock().expect("no thread panics") = files;
        self.start.wait();
        self.end.wait();
    }
}

/// Appends a second, and the median and 99th percentile of a commit.
fn measure(
    layout: Layout,
    directory: &Path,
    partitions: usize,
    clients: usize,
) -> io::Result<(f64, Duration, Duration)> {
    let mut store = Store::open(layout, directory, partitions)?;
    let pool = match layout {
        Layout::FilesPool(threads) | Layout::PreallocatedPool(threads) => Some(Pool::new(threads)),
        _ => None,
    };
    let payload = vec![b'x'; APPEND_BYTES];
    let (began, mut commits, mut next) = (Instant::now(), Vec::new(), 0_usize);
    while began.elapsed() < RUN {
        let round = Instant::now();
        let mut dirty: Vec<usize> = Vec::with_capacity(clients);
        for _ in 0..clients {
            dirty.push(store.append(next % partitions, &payload)?);
            next += 1;
        }
        dirty.sort_unstable();
        dirty.dedup();
        match (&pool, layout) {
            (Some(pool), _) => {
                pool.sync(dirty.iter().map(|&index| Arc::clone(&store.files[index])).collect());
            }
            (None, Layout::FilesSyncfs) => syncfs(&*store.files[0])?,
            (None, _) => {
                for index in dirty {
                    store.files[index].sync_data()?;
                }
            }
        }
        commits.push(round.elapsed());
    }
    let rate = (commits.len() * clients) as f64 / began.elapsed().as_secs_f64();
    commits.sort_unstable();
    Ok((rate, commits[commits.len() / 2], commits[commits.len() * 99 / 100]))
}

fn main() -> io::Result<()> {
    let Some(base) = std::env::args().nth(1) else {
        eprintln!("usage: layout DIR   (on the disk to be measured)");
        std::process::exit(2);
    };
    let base = PathBuf::from(base).join("layout-measurement");
    println!("| partitions | clients | layout | appends/s | commit p50 µs | p99 µs |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (partitions, clients) in [(1, 1), (1, 64), (16, 16), (16, 64), (1000, 64), (1000, 1000)] {
        for layout in [
            Layout::Journal,
            Layout::Files,
            Layout::FilesPool(4),
            Layout::FilesPool(16),
            Layout::FilesSyncfs,
            Layout::Preallocated,
            Layout::PreallocatedPool(4),
            Layout::Zeroed,
        ] {
            std::fs::create_dir_all(&base)?;
            let (rate, p50, p99) = measure(layout, &base, partitions, clients)?;
            println!(
                "| {partitions} | {clients} | {} | {rate:.0} | {} | {} |",
                layout.name(),
                p50.as_micros(),
                p99.as_micros()
            );
            std::fs::remove_dir_all(&base)?;
        }
    }
    Ok(())
}
