//! What two strings have in common, in order (`LCS`).

use crate::database::Database;
use crate::error::KeyError;

/// LIMIT: cells of the table of a comparison, four bytes each; Redis's limit is of the same order.
const CELLS_MAX: usize = 64 << 20;

/// The longest common subsequence of two strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// It.
    pub text: Vec<u8>,
    /// The runs that it lies in, the last first.
    pub runs: Vec<CommonRun>,
}

/// A run of bytes that is in both strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonRun {
    /// Where it begins in the first string.
    pub left: usize,
    /// Where it begins in the second string.
    pub right: usize,
    /// How long it is.
    pub len: usize,
}

impl Database<'_> {
    /// What the strings of two keys have in common; a key that is not there has the empty string.
    ///
    /// # Errors
    /// [`KeyError::TooLong`]: comparing them would take too much memory.
    pub fn common(&mut self, left: &[u8], right: &[u8]) -> Result<Common, KeyError> {
        let left = self.get(left)?.unwrap_or_default();
        let right = self.get(right)?.unwrap_or_default();
        longest_common(&left, &right).ok_or(KeyError::TooLong)
    }
}

fn longest_common(left: &[u8], right: &[u8]) -> Option<Common> {
    let width = right.len() + 1;
    let cells = width.checked_mul(left.len() + 1).filter(|cells| *cells <= CELLS_MAX)?;
    let mut table = vec![0_u32; cells];
    for (row, byte) in left.iter().enumerate() {
        let (above, below) = (row * width, (row + 1) * width);
        for (column, other) in right.iter().enumerate() {
            table[below + column + 1] = if byte == other {
                table[above + column] + 1
            } else {
                table[above + column + 1].max(table[below + column])
            };
        }
    }
    Some(walk_back(left, right, &table))
}

/// From the ends to the beginnings, as Redis does: of several longest ones it finds the same.
fn walk_back(left: &[u8], right: &[u8], table: &[u32]) -> Common {
    let width = right.len() + 1;
    let (mut row, mut column) = (left.len(), right.len());
    let mut common = Common::default();
    let mut run: Option<CommonRun> = None;
    while row > 0 && column > 0 {
        if left[row - 1] == right[column - 1] {
            (row, column) = (row - 1, column - 1);
            common.text.push(left[row]);
            let len = run.map_or(0, |run| run.len) + 1;
            run = Some(CommonRun { left: row, right: column, len });
            continue;
        }
        common.runs.extend(run.take());
        if table[(row - 1) * width + column] > table[row * width + column - 1] {
            row -= 1;
        } else {
            column -= 1;
        }
    }
    common.runs.extend(run);
    common.text.reverse();
    common
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_are_found_from_the_end() {
        let common = longest_common(b"ohmytext", b"mynewtext").unwrap();
        assert_eq!(common.text, b"mytext");
        let run = |left, right, len| CommonRun { left, right, len };
        assert_eq!(common.runs, [run(4, 5, 4), run(2, 0, 2)]);
        assert_eq!(longest_common(b"", b"x"), Some(Common::default()));
    }

    #[test]
    fn too_long_strings_are_refused_before_memory_is_taken() {
        let long = vec![b'x'; 9000];
        assert!(longest_common(&long, &long).is_none());
    }

    fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
        let mut whole = whole.iter();
        part.iter().all(|byte| whole.any(|other| other == byte))
    }

    proptest! {
        #[test]
        fn it_is_in_both_and_its_runs_spell_it(left in "[abc]{0,30}", right in "[abc]{0,30}") {
            let common = longest_common(left.as_bytes(), right.as_bytes()).unwrap();
            prop_assert!(is_subsequence(&common.text, left.as_bytes()));
            prop_assert!(is_subsequence(&common.text, right.as_bytes()));
            let spelled: Vec<u8> = common
                .runs
                .iter()
                .rev()
                .flat_map(|run| left.as_bytes()[run.left..run.left + run.len].to_vec())
                .collect();
            prop_assert_eq!(spelled, common.text);
        }
    }
}
