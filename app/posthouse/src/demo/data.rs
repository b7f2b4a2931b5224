//! The demo's data: what is in the program, and how its rows become records.

use std::io::Read;

use crate::exit::{Code, Failure};

/// A topic of the demo and the rows that belong in it.
pub(super) struct Dataset {
    pub(super) topic: &'static str,
    pub(super) partitions: u32,
    /// The column that becomes the key.
    pub(super) key: &'static str,
    /// The column whose time becomes the record's timestamp.
    pub(super) time: Option<&'static str>,
    pub(super) columns: &'static [(&'static str, &'static str)],
    pub(super) records: u64,
    file: File,
}

enum File {
    Plain(&'static [u8]),
    Compressed(&'static [u8]),
}

/// Everything, smallest first.
pub(super) const DATASETS: [Dataset; 4] = [
    Dataset {
        topic: "airlines",
        partitions: 1,
        key: "carrier",
        time: None,
        columns: &[("carrier", "TEXT"), ("name", "TEXT")],
        records: 16,
        file: File::Plain(include_bytes!("../../../../examples/nyc/airlines.csv")),
    },
    Dataset {
        topic: "airports",
        partitions: 1,
        key: "faa",
        time: None,
        columns: &[
            ("faa", "TEXT"),
            ("name", "TEXT"),
            ("lat", "DOUBLE"),
            ("lon", "DOUBLE"),
            ("alt", "DOUBLE"),
            ("tz", "INT"),
            ("dst", "TEXT"),
            ("tzone", "TEXT"),
        ],
        records: 1458,
        file: File::Plain(include_bytes!("../../../../examples/nyc/airports.csv")),
    },
    Dataset {
        topic: "weather",
        partitions: 1,
        key: "origin",
        time: Some("time_hour"),
        columns: &[
            ("origin", "TEXT"),
            ("year", "INT"),
            ("month", "INT"),
            ("day", "INT"),
            ("hour", "INT"),
            ("temp", "DOUBLE"),
            ("dewp", "DOUBLE"),
            ("humid", "DOUBLE"),
            ("wind_dir", "DOUBLE"),
            ("wind_speed", "DOUBLE"),
            ("wind_gust", "DOUBLE"),
            ("precip", "DOUBLE"),
            ("pressure", "DOUBLE"),
            ("visib", "DOUBLE"),
            ("time_hour", "TIMESTAMP"),
        ],
        records: 26_115,
        file: File::Compressed(include_bytes!("../../../../examples/nyc/weather.csv.zst")),
    },
    Dataset {
        topic: "flights",
        partitions: 4,
        key: "carrier",
        time: Some("time_hour"),
        columns: &[
            ("year", "INT"),
            ("month", "INT"),
            ("day", "INT"),
            ("dep_time", "INT"),
            ("sched_dep_time", "INT"),
            ("dep_delay", "DOUBLE"),
            ("arr_time", "INT"),
            ("sched_arr_time", "INT"),
            ("arr_delay", "DOUBLE"),
            ("carrier", "TEXT"),
            ("flight", "INT"),
            ("tailnum", "TEXT"),
            ("origin", "TEXT"),
            ("dest", "TEXT"),
            ("air_time", "DOUBLE"),
            ("distance", "DOUBLE"),
            ("hour", "INT"),
            ("minute", "INT"),
            ("time_hour", "TIMESTAMP"),
        ],
        records: 336_776,
        file: File::Compressed(include_bytes!("../../../../examples/nyc/flights.csv.zst")),
    },
];

impl Dataset {
    /// Reads the rows, unpacking them as they are read.
    pub(super) fn rows(&self) -> Result<csv::Reader<Box<dyn Read + Send>>, Failure> {
        let input: Box<dyn Read + Send> = match self.file {
            File::Plain(bytes) => Box::new(bytes),
            File::Compressed(bytes) => Box::new(
                zstd::Decoder::new(bytes)
                    .map_err(|error| Failure::from_error(Code::Failed, &error))?,
            ),
        };
        Ok(csv::Reader::from_reader(input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_hold_what_is_declared() {
        for dataset in &DATASETS {
            let mut rows = dataset.rows().unwrap();
            let columns: Vec<_> = rows.headers().unwrap().iter().map(str::to_owned).collect();
            let declared: Vec<_> = dataset.columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(columns, declared, "{}", dataset.topic);
            let records = u64::try_from(rows.records().map(Result::unwrap).count()).unwrap();
            assert_eq!(records, dataset.records, "{}", dataset.topic);
        }
    }
}
