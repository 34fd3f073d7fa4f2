//! The network between members: how long a message takes, whether it comes at all, and how often.

use crate::dice::Dice;
use std::collections::BTreeSet;

/// Its weather.
pub struct Network {
    /// Pairs (from, to) between which nothing passes.
    cut: BTreeSet<(u64, u64)>,
    /// Messages lost and doubled, in a thousand.
    pub lost: u64,
    pub doubled: u64,
    /// The longest time that a message takes, in microseconds.
    pub delay_us: u64,
    /// A node whose links are slow, and how slow.
    pub slow: Option<(u64, u64)>,
}

const FAIR_DELAY_US: u64 = 400;

impl Network {
    pub fn fair() -> Self {
        Network { cut: BTreeSet::new(), lost: 0, doubled: 0, delay_us: FAIR_DELAY_US, slow: None }
    }

    /// After how long copies of a message arrive, in microseconds; none if it is lost.
    pub fn passes(&self, dice: &mut Dice, from: u64, to: u64) -> Vec<u64> {
        if self.cut.contains(&(from, to)) || dice.permille(self.lost) {
            return Vec::new();
        }
        let copies = 1 + usize::from(dice.permille(self.doubled));
        let slowness = self.slow.filter(|&(node, _)| node == from || node == to).map_or(0, |(_, us)| us);
        (0..copies).map(|_| 30 + dice.below(self.delay_us) + slowness).collect()
    }

    /// Cuts one direction of a link.
    pub fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    /// Cuts a node off from all others.
    pub fn isolate(&mut self, node: u64, nodes: u64) {
        for other in 1..=nodes {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Splits the nodes in two: those in the set, and the others.
    pub fn split(&mut self, side: &BTreeSet<u64>, nodes: u64) {
        for from in 1..=nodes {
            for to in (1..=nodes).filter(|to| side.contains(to) != side.contains(&from)) {
                self.cut(from, to);
            }
        }
    }

    /// Links work again; messages are still lost and late.
    pub fn join(&mut self) {
        self.cut.clear();
    }
}
