//! Entry points for the fuzz targets, which may be fed anything.

use posthouse_types::Timestamp;

use crate::{Change, DatabaseIndex, Effect, Keyspace};

/// LIMIT: a target takes little memory, so a string that is to grow further is not built.
const SPLICE_END_MAX: u64 = 1 << 20;

/// Stored effects: what is read is written and read again the same, and can be replayed.
pub fn effects(input: &[u8]) -> bool {
    let Ok(effects) = Effect::decode_all(input) else { return false };
    let mut bytes = Vec::new();
    effects.iter().for_each(|effect| effect.encode(&mut bytes));
    assert_eq!(Effect::decode_all(&bytes).as_ref(), Ok(&effects));
    let mut keyspace = Keyspace::new(0);
    for effect in effects {
        let grows =
            matches!(effect.change, Change::Splice { offset, .. } if offset > SPLICE_END_MAX);
        if !grows {
            keyspace.replay(effect);
        }
    }
    for index in DatabaseIndex::all() {
        keyspace.database(index, Timestamp::from_ms(0)).flush();
    }
    assert_eq!(keyspace.memory(), 0, "every key was counted as it is");
    true
}

/// A dumped value: what is restored is dumped and restored again the same.
pub fn dump(input: &[u8]) -> bool {
    let mut keyspace = Keyspace::new(0);
    let mut db = keyspace.database(DatabaseIndex::default(), Timestamp::from_ms(0));
    if db.restore(b"k", input, None, false).is_err() {
        return false;
    }
    let dumped = db.dump(b"k").expect("it was restored");
    db.restore(b"again", &dumped, None, false).expect("what was dumped can be restored");
    assert_eq!(db.elements(b"again"), db.elements(b"k"));
    let counted = db.estimate_elements(&[b"k"]);
    assert_eq!(db.estimate_elements(&[b"again"]), counted);
    true
}
