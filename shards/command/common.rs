//! Finding the longest common subsequence, a machine word of columns at a time.
//!
//! Row i of the usual table says, for each prefix of `b`, how long its common subsequence with the first i bytes of `a`
//! is. From column to column that grows by 0 or 1, so a row is a bit per column, and the next row follows from it by an addition over
//! the whole row (Crochemore and others, 2001; Hyyrö, 2004). A bit of 0 is a column where the length grows. Walking back
//! needs no more than that bit.

/// A stretch that both strings have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Where it begins in the first string.
    pub a: usize,
    /// Where it begins in the second string.
    pub b: usize,
    /// Its length in bytes.
    pub len: usize,
}

/// A longest common subsequence.
#[derive(Debug, PartialEq, Eq)]
pub struct Common {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The stretches that it is made of, the last one first.
    pub matches: Vec<Match>,
}

/// The current row, and for each byte value the columns where `b` has it.
struct Rows {
    masks: Vec<u64>,
    mask_of: [Option<usize>; 256],
    row: Vec<u64>,
}

impl Rows {
    fn new(a: &[u8], b: &[u8]) -> Self {
        let words = b.len().div_ceil(64);
        let mut in_a = [false; 256];
        for &byte in a {
            in_a[usize::from(byte)] = true;
        }
        let mut rows = Rows { masks: Vec::new(), mask_of: [None; 256], row: vec![u64::MAX; words] };
        for (column, &byte) in b.iter().enumerate() {
            if !in_a[usize::from(byte)] {
                continue;
            }
            let start = *rows.mask_of[usize::from(byte)].get_or_insert_with(|| {
                let start = rows.masks.len();
                rows.masks.resize(start + words, 0);
                start
            });
            rows.masks[start + column / 64] |= 1 << (column % 64);
        }
        rows
    }

    /// Goes on to the row of the next byte of `a`.
    fn step(&mut self, byte: u8) {
        // A byte that `b` does not have leaves the row as it is.
        let Some(start) = self.mask_of[usize::from(byte)] else { return };
        let mut carry = false;
        for (word, &mask) in self.row.iter_mut().zip(&self.masks[start..]) {
            let (sum, first) = word.overflowing_add(*word & mask);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *word = sum | (*word & !mask);
        }
    }

    fn len(&self) -> usize {
        // Columns beyond the end stay 1.
        self.row.iter().map(|word| word.count_zeros() as usize).sum()
    }
}

impl Common {
    /// Only its length.
    pub fn len(a: &[u8], b: &[u8]) -> usize {
        let mut rows = Rows::new(a, b);
        for &byte in a {
            rows.step(byte);
        }
        rows.len()
    }

    /// The one that Redis finds: back from the ends, the shorter second string first where both are as good.
    pub fn find(a: &[u8], b: &[u8]) -> Self {
        let row_bytes = b.len().div_ceil(8);
        let mut rows = Rows::new(a, b);
        let mut table = Vec::with_capacity(a.len() * row_bytes);
        for &byte in a {
            rows.step(byte);
            let end = table.len() + row_bytes;
            for word in &rows.row {
                let bytes = word.to_le_bytes();
                table.extend_from_slice(&bytes[..bytes.len().min(end - table.len())]);
            }
        }
        let mut bytes = Vec::with_capacity(rows.len());
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                bytes.push(a[i]);
                match matches.last_mut() {
                    Some(last) if (last.a, last.b) == (i + 1, j + 1) => {
                        *last = Match { a: i, b: j, len: last.len + 1 };
                    }
                    _ => matches.push(Match { a: i, b: j, len: 1 }),
                }
            } else if table[(i - 1) * row_bytes + (j - 1) / 8] >> ((j - 1) % 8) & 1 == 0 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        bytes.reverse();
        Common { bytes, matches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(a: &[u8], b: &[u8]) -> Vec<Vec<usize>> {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] =
                    if a[i - 1] == b[j - 1] { table[i - 1][j - 1] + 1 } else { table[i - 1][j].max(table[i][j - 1]) };
            }
        }
        table
    }

    proptest! {
        #[test]
        fn it_is_that_of_the_whole_table(a in "[a-d]{0,200}", b in "[a-d]{0,200}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let table = table(a, b);
            let common = Common::find(a, b);
            prop_assert_eq!(common.bytes.len(), table[a.len()][b.len()]);
            prop_assert_eq!(Common::len(a, b), common.bytes.len());
            let (mut i, mut j) = (a.len(), b.len());
            let mut pairs = Vec::new();
            while i > 0 && j > 0 {
                if a[i - 1] == b[j - 1] {
                    (i, j) = (i - 1, j - 1);
                    pairs.push((i, j));
                } else if table[i - 1][j] > table[i][j - 1] {
                    i -= 1;
                } else {
                    j -= 1;
                }
            }
            let found: Vec<_> =
                common.matches.iter().flat_map(|m| (0..m.len).rev().map(|at| (m.a + at, m.b + at))).collect();
            prop_assert_eq!(found, pairs);
            for pair in common.matches.windows(2) {
                prop_assert!(pair[1].a + pair[1].len < pair[0].a || pair[1].b + pair[1].len < pair[0].b);
            }
        }
    }
}
