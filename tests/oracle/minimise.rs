//! Makes a sequence that differs as short as it can be.

use super::pair::{Difference, Pair};
use super::step::Step;

/// Runs of both servers that are spent on it.
const RUNS_MAX: usize = 600;

/// Drops runs of steps, long ones first, as long as something still differs. No differences come back when the whole sequence
/// does not differ again.
pub fn shortest(pair: &mut Pair, protocol: u8, mut steps: Vec<Step>) -> (Vec<Step>, Vec<Difference>) {
    let mut differences = pair.run(protocol, &steps);
    let mut runs = 1;
    if let Some(first) = differences.first() {
        // Nothing after the first difference can have caused it.
        let length = first.step + 1;
        let cut = steps[..length].to_vec();
        let again = pair.run(protocol, &cut);
        if !again.is_empty() {
            (steps, differences) = (cut, again);
        }
    }
    let mut piece = steps.len() / 2;
    while piece > 0 && !differences.is_empty() {
        let mut at = 0;
        while at + piece <= steps.len() && runs < RUNS_MAX {
            let mut fewer = steps.clone();
            fewer.drain(at..at + piece);
            runs += 1;
            let again = match fewer.is_empty() {
                true => Vec::new(),
                false => pair.run(protocol, &fewer),
            };
            if again.is_empty() {
                at += 1;
            } else {
                (steps, differences) = (fewer, again);
            }
        }
        piece /= 2;
    }
    (steps, differences)
}
